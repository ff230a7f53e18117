"""A trace of both parties in Chrome's trace-event format, for Perfetto, chrome://tracing and speedscope.

Every span of the two reports is a complete event (ph "X") on the track of its thread, inside an event for
its phase; both processes of a run read one clock, so their tracks line up. Runs come one after the other.

Format: "Trace Event Format", Google, https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .inference import PHASES, Measured

__all__ = ["events", "write"]

_ARGUMENTS = ("cpu_seconds", "bytes_sent", "bytes_received", "rounds", "peak_bytes")


def write(runs: Sequence[Measured], path: Path) -> None:
    """Raises OSError where the file cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"traceEvents": list(events(runs)), "displayTimeUnit": "ms"}))


def events(runs: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """Times are microseconds from the first run's start on."""
    origin = runs[0].times["start"] if runs else 0.0
    for i, run in enumerate(runs):
        what = f"{run.row.model}, {run.row.network}"
        bounds = {
            "offline": (run.times["start"], run.times["prepared"]),
            "online": (run.times["prepared"], run.times["end"]),
        }
        yield from _party(2 * i + 1, f"client: {what}", run.client_spans, bounds, origin)
        yield from _party(2 * i + 2, f"server: {what}", run.server_spans, _extent(run.server_spans), origin)


def _party(
    pid: int,
    name: str,
    spans: Sequence[dict[str, Any]],
    phases: dict[str, tuple[float, float]],
    origin: float,
) -> Iterator[dict[str, Any]]:
    threads: dict[str, int] = {}
    for span in sorted(spans, key=lambda span: float(span["start"])):
        threads.setdefault(span["thread"], len(threads))
    yield _named("process_name", pid, 0, name)
    for thread, tid in threads.items():
        yield _named("thread_name", pid, tid, thread)
    for phase, bounds in phases.items():
        yield _complete(pid, 0, phase, "phase", *bounds, origin, {})
    for span in spans:
        arguments = {"kind": span["kind"], **{key: span[key] for key in _ARGUMENTS}}
        where = (pid, threads[span["thread"]], span["layer"], f"{span['phase']},{span['kind']}")
        yield _complete(*where, span["start"], span["end"], origin, arguments)


def _extent(spans: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """The server's phases: from the start of the first span to the end of the last, on its first thread."""
    found = {}
    for phase in PHASES:
        chosen = [span for span in spans if span["phase"] == phase]
        if chosen:
            found[phase] = min(span["start"] for span in chosen), max(span["end"] for span in chosen)
    return found


def _complete(
    pid: int,
    tid: int,
    name: str,
    category: str,
    start: float,
    end: float,
    origin: float,
    arguments: dict[str, Any],
) -> dict[str, Any]:
    begin, finish = (
        round(1e9 * (moment - origin)) for moment in (start, end)
    )  # whole ns: rounding keeps order
    return {
        "ph": "X",
        "pid": pid,
        "tid": tid,
        "name": name,
        "cat": category,
        "ts": begin / 1000,
        "dur": (finish - begin) / 1000,
        "args": arguments,
    }


def _named(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": pid, "tid": tid, "name": what, "args": {"name": name}}
