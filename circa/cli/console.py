"""What all commands share: errors as one line, JSON or tables, progress of the offline phase."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from circa.protocols.errors import CircaError

__all__ = ["Json", "Tracker", "emit", "err", "out", "reporting", "track"]

# In a file or a pipe nobody sees an edge: tables keep their columns.
out = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120)
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@contextmanager
def reporting(as_json: bool) -> Iterator[None]:
    """Turn the library's errors into one line on stderr (or a JSON object) and exit status 1; never a
    traceback.
    """
    try:
        yield
    except (CircaError, FileNotFoundError, IsADirectoryError, PermissionError) as error:
        kind = type(error).__name__
        if as_json:
            emit({"error": {"kind": kind, "message": str(error)}})
        else:
            err.print(f"[bold red]{kind}:[/] ", end="")
            err.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def emit(result: dict[str, Any]) -> None:
    """One JSON object on one line of stdout, flushed: a parent process may wait for it."""
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


class Tracker:
    """A progress bar fed by `progress(operation, done, total)` callbacks."""

    def __init__(self, bar: Progress, title: str):
        self._bar, self._task, self._title = bar, bar.add_task(title, total=None), title

    def __call__(self, operation: str, done: int, total: int) -> None:
        what = f"{self._title}  [dim]{operation}[/]" if operation else self._title
        self._bar.update(self._task, completed=done, total=total, description=what)


@contextmanager
def track(title: str, quiet: bool = False) -> Iterator[Tracker]:
    """A bar on stderr while the block runs; nothing where `quiet` or stderr is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal) as bar:
        yield Tracker(bar, title)


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def cost_table(rows: list[dict[str, Any]], title: str) -> Table:
    """A report's rows, one line a layer: offline and online side by side, totals below."""
    caption = "↑ client to server, ↓ back, trips: round trips; ms at the client, waiting included"
    table = Table(title=title, caption=caption, box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.title_justify = table.caption_justify = "left"
    table.add_column("\nlayer", overflow="fold")  # gives way first where the terminal is narrow
    table.add_column("\nkind", style="dim", no_wrap=True)
    for phase in ("offline", "online"):
        for column in ("ms", "kB ↑", "kB ↓", "trips"):
            table.add_column(f"{phase if column == 'ms' else ''}\n{column}", justify="right", no_wrap=True)
    layers: dict[str, dict[str, Any]] = {}
    for row in rows:
        layers.setdefault(row["layer"], {"kind": row["kind"]})[row["phase"]] = row
    for name, phases in layers.items():
        table.add_row(name, phases["kind"], *_cells(phases.get("offline")), *_cells(phases.get("online")))
    table.add_section()
    table.add_row("total", "", *_cells(_sum(rows, "offline")), *_cells(_sum(rows, "online")), style="bold")
    return table


def _sum(rows: list[dict[str, Any]], phase: str) -> dict[str, Any]:
    chosen = [row for row in rows if row["phase"] == phase]
    columns = ("milliseconds", "bytes_sent", "bytes_received", "rounds")
    return {key: sum(row[key] for row in chosen) for key in columns}


def _cells(row: dict[str, Any] | None) -> tuple[str, ...]:
    if row is None:
        return ("", "", "", "")
    values = (row["milliseconds"], row["bytes_sent"] / 1e3, row["bytes_received"] / 1e3)
    return (*(f"{value:.{1 if value < 100 else 0}f}" for value in values), str(row["rounds"]))
