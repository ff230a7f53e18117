"""Where every byte and millisecond went: one row an operation and phase, as one party measured it.

A row is a total; a span is one stretch of work with its start and end, for a trace of both parties.
"""

import os
import resource
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from circa.protocols.channel import Channel

from .program import Operation

__all__ = ["Phase", "Report", "Row", "Span"]

Phase = Literal["offline", "online"]

MAX_SPANS = 1 << 14  # the oldest are dropped: a session may last for days


@dataclass
class Row:
    """Totals of one operation in one phase. Bytes are payloads; milliseconds include waiting for the peer."""

    layer: str
    kind: str
    phase: Phase
    milliseconds: float = 0.0
    bytes_sent: int = 0
    bytes_received: int = 0
    rounds: int = 0


@dataclass
class Span:
    """One stretch of a row's work. Seconds of `time.perf_counter`, on Linux one clock for all processes."""

    layer: str
    kind: str
    phase: Phase
    start: float
    thread: str
    end: float = 0.0
    cpu_seconds: float = 0.0  # processor time of its own thread: neither waiting nor others' work is in it
    bytes_sent: int = 0
    bytes_received: int = 0
    rounds: int = 0
    peak_bytes: int = 0  # of the process's memory in this time; 0 where the report does not watch it


@dataclass
class Report:
    """A row for every layer and phase that did something.

    watch_memory: note the peak of the process's resident memory in every span. It resets what the system
        keeps as the process's peak, so only for a process of one's own.
    """

    rows: dict[tuple[str, Phase], Row] = field(default_factory=dict)
    order: tuple[str, ...] = ()  # of the layers when the rows are listed; other rows come first
    spans: deque[Span] = field(default_factory=lambda: deque(maxlen=MAX_SPANS))  # in the order of their ends
    stored_bytes: int = 0  # the largest stock of offline material at any time
    watch_memory: bool = False
    peak_bytes: int = 0  # of the process's memory since the report began, up to the end of the last span
    _open: list[Span] = field(default_factory=list, init=False, repr=False)

    @contextmanager
    def measure(self, ch: Channel, name: str, kind: str, phase: Phase) -> Iterator[None]:
        """Add the block's time and traffic to a row."""
        row = self.rows.setdefault((name, phase), Row(name, kind, phase))
        before, start, cpu = ch.traffic.copy(), time.perf_counter(), time.thread_time()
        span = Span(name, kind, phase, start, threading.current_thread().name)
        self._see_memory(restart=True)
        self._open.append(span)
        try:
            yield
        finally:
            self._see_memory()
            self._open.remove(span)
            span.end, span.cpu_seconds = time.perf_counter(), time.thread_time() - cpu
            spent = ch.traffic.since(before)
            span.bytes_sent, span.bytes_received = spent.bytes_sent, spent.bytes_received
            span.rounds = spent.rounds
            self.spans.append(span)
            row.milliseconds += 1e3 * (span.end - start)
            row.bytes_sent += spent.bytes_sent
            row.bytes_received += spent.bytes_received
            row.rounds += spent.rounds

    def operation(self, ch: Channel, op: Operation, phase: Phase) -> Any:
        """`measure` for one operation of the program."""
        return self.measure(ch, op.name, type(op).__name__.lower(), phase)

    def store(self, nbytes: int) -> None:
        """Note how many bytes of offline material are in stock now."""
        self.stored_bytes = max(self.stored_bytes, nbytes)

    def total(self, phase: Phase) -> Row:
        """The sum over all rows of a phase."""
        total = Row("total", "", phase)
        for row in self.rows.values():
            if row.phase == phase:
                total.milliseconds += row.milliseconds
                total.bytes_sent += row.bytes_sent
                total.bytes_received += row.bytes_received
                total.rounds += row.rounds
        return total

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows, in the program's order of layers."""
        place = {name: i for i, name in enumerate(self.order)}
        return [asdict(row) for row in sorted(self.rows.values(), key=lambda row: place.get(row.layer, -1))]

    def _see_memory(self, restart: bool = False) -> None:
        """Bring the open spans' peaks up to date; then, to `restart`, let a new peak begin from here."""
        if not self.watch_memory:
            return
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.peak_bytes = max(self.peak_bytes, peak)
        for span in self._open:
            span.peak_bytes = max(span.peak_bytes, peak)
        if restart:
            _restart_peak()


def _restart_peak() -> None:
    """Linux: forget the process's peak of resident memory. Elsewhere peaks only grow."""
    with suppress(OSError):
        clear = os.open("/proc/self/clear_refs", os.O_WRONLY)
        try:
            os.write(clear, b"5")
        finally:
            os.close(clear)
