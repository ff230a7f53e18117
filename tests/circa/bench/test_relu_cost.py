"""benchmarks/relu_cost.py: a run leaves a JSON line and a figure, and the table comes from the line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_run_and_its_table(root: Path, tmp_path: Path):
    script = (sys.executable, str(root / "benchmarks" / "relu_cost.py"))
    run = subprocess.run(
        [*script, "--elements", "32", "--repeats", "1", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = (tmp_path / "relu_cost.jsonl").read_text().splitlines()
    rows = json.loads(lines[0])["rows"]
    measured = {(row["protocol"], row["k"], row["n"]) for row in rows}
    assert {("circa", 12, None), ("table", None, 6), ("window-garbled", None, 13)} < measured
    assert len(lines) == 1
    assert (tmp_path / "relu_cost.svg").is_file()
    again = subprocess.run(
        [*script, "--table", str(tmp_path / "relu_cost.jsonl")], capture_output=True, text=True, check=True
    )
    assert again.stdout == run.stdout
    assert "| `delphi` | 240 | 7,680 |" in run.stdout
    assert run.stdout.count("| `table`, n = 6 |") == 2  # costs and ratios
    lines = [line for line in run.stdout.splitlines() if line.startswith("| `")]
    assert len(lines) == 2 * len(rows) - 1  # no ratio of delphi to itself
