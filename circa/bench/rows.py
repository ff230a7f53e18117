"""A row of `circa bench relu`: what one protocol costs, per ReLU."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["ASSUMES", "BASELINE", "RATIOS", "Row", "add_ratios"]

BASELINE = "delphi"
ASSUMES = "real two-party, semi-honest, no dealer"
RATIOS = (
    "table_bytes",
    "client_stored_bytes",
    "server_stored_bytes",
    "offline_bytes",
    "online_bytes",
    "offline_us",
    "online_us",
)


@dataclass
class Row:
    """Everything is per ReLU; None where there is no such thing. Microseconds are processor time of one
    thread per party, both parties added where no party is named; those of `loopback` are wall time of two
    processes.
    """

    protocol: str
    modulus: str
    elements: int
    k: int | None = None  # truncated bits
    n: int | None = None  # bits of the window
    mode: str | None = None  # on which side of zero faults fall; None: exact
    shift: int | None = None  # exact rescale in bits
    and_gates: float | None = None
    table_bytes: float | None = None  # garbled tables alone
    client_stored_bytes: float | None = None
    server_stored_bytes: float | None = None
    offline_bytes: float | None = None
    offline_bytes_up: float | None = None  # client to server
    offline_bytes_down: float | None = None
    offline_rounds: int | None = None
    online_bytes: float | None = None
    online_bytes_up: float | None = None
    online_bytes_down: float | None = None
    online_rounds: int | None = None
    garble_us: float | None = None
    evaluate_us: float | None = None
    offline_us: float | None = None
    online_us: float | None = None
    online_us_min: float | None = None
    online_us_max: float | None = None
    online_us_client: float | None = None
    online_us_server: float | None = None
    relus_per_second: float | None = None  # 1e6 / online_us
    loopback_offline_us: float | None = None
    loopback_online_us: float | None = None
    loopback_online_cpu_us: float | None = None
    assumes: str = ASSUMES
    ratios: dict[str, float] | None = None  # how many times less than the baseline's
    more: dict[str, Any] = field(default_factory=dict)  # what only a peer has to say

    @property
    def label(self) -> str:
        parameter = f" k={self.k}" if self.k else f" n={self.n}" if self.n is not None else ""
        return self.protocol + parameter

    def to_dict(self) -> dict[str, Any]:
        row = asdict(self)
        more: dict[str, Any] = row.pop("more")
        return row | more


def add_ratios(rows: Sequence[Row]) -> None:
    """Ratios to `delphi` at the same shift, where that was measured too; a peer does not rescale: shift 0."""
    baselines = {row.shift: row for row in rows if row.protocol == BASELINE}
    for row in rows:
        base = baselines.get(row.shift or 0)
        if base is not None and row is not base:
            row.ratios = {
                name: getattr(base, name) / getattr(row, name) for name in RATIOS if getattr(row, name)
            }
