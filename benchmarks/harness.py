"""What the benchmark scripts share: one JSON line a run in a file, and tables for the README made from it.

`record` appends and never rewrites: a file holds runs of several machines and commits, each line with its own
environment. Read back with `last`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path("results")  # git-ignored


def record(result: dict[str, Any], name: str, folder: Path = RESULTS) -> Path:
    """Append one run as one line of FOLDER/NAME.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    with path.open("a") as lines:
        lines.write(json.dumps(result) + "\n")
    return path


def last(path: Path) -> dict[str, Any]:
    """The last run in a file."""
    result: dict[str, Any] = json.loads(path.read_text().splitlines()[-1])
    return result


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table with its first column on the left and numbers on the right; None is an empty cell."""
    lines = [list(header), ["---"] + ["---:"] * (len(header) - 1)]
    lines += [[number(cell) if not isinstance(cell, str) else cell for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float | None, digits: int = 3) -> str:
    """Integers as they are, others to three digits."""
    if value is None:
        return ""
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def setting(environment: dict[str, Any]) -> str:
    """One line: what the table below was measured on."""
    kernels = "native kernels" if environment["native_kernels"] else "NumPy only"
    commit = f", commit {environment['commit']}" if environment.get("commit") else ""
    return (
        f"{environment['cpu']}, {environment['cores']} cores, one thread per party, {kernels},"
        f" load {environment['load_average']}, Python {environment['python']}{commit}"
    )
