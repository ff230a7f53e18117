"""Where every byte and millisecond went: one row an operation and phase, as one party measured it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from circa.protocols.channel import Channel

from .program import Operation

__all__ = ["Report", "Row"]

Phase = Literal["offline", "online"]


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
class Report:
    """A row for every layer and phase that did something."""

    rows: dict[tuple[str, Phase], Row] = field(default_factory=dict)
    order: tuple[str, ...] = ()  # of the layers when the rows are listed; other rows come first

    @contextmanager
    def measure(self, ch: Channel, name: str, kind: str, phase: Phase) -> Iterator[None]:
        """Add the block's time and traffic to a row."""
        row = self.rows.setdefault((name, phase), Row(name, kind, phase))
        before, start = ch.traffic.copy(), time.perf_counter()
        try:
            yield
        finally:
            row.milliseconds += 1e3 * (time.perf_counter() - start)
            spent = ch.traffic.since(before)
            row.bytes_sent += spent.bytes_sent
            row.bytes_received += spent.bytes_received
            row.rounds += spent.rounds

    def operation(self, ch: Channel, op: Operation, phase: Phase) -> Any:
        """`measure` for one operation of the program."""
        return self.measure(ch, op.name, type(op).__name__.lower(), phase)

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
