"""`circa bench relu` in one call: our protocols, the peers beside them, ratios, and the environment."""

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import environment, loopback
from .cases import MAX_REPEATS, Case, check, grid
from .peers import Peer
from .peers import run as peer_run
from .peers.agreement import comparable, compare
from .relu import measure
from .rows import Row, add_ratios

__all__ = ["Result", "run"]

Progress = Callable[[str, int, int], None]  # what, done, total


@dataclass(frozen=True)
class Result:
    rows: list[Row]
    environment: dict[str, Any]
    settings: dict[str, Any]

    @property
    def agrees(self) -> bool:
        """Whether every peer's results agree with ours."""
        return all(row.more["agreement"]["agrees"] for row in self.rows if "agreement" in row.more)

    def to_dict(self) -> dict[str, Any]:
        return {
            "benchmark": "relu",
            "environment": self.environment,
            "settings": self.settings,
            "rows": [row.to_dict() for row in self.rows],
        }


def run(
    cases: Sequence[Case],
    repeats: int = 5,
    peers: Sequence[Peer] = (),
    two_processes: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> Result:
    """Measure all cases. With peers, or when asked for, also as two processes over loopback."""
    check("repeats", repeats, 1, MAX_REPEATS)
    two_processes = two_processes or bool(peers)
    where = environment.describe()  # the load is that of the moment before
    steps = len(cases) * (1 + repeats) + two_processes + sum(len(peer.settings) for peer in peers)
    done = 0

    def step(what: str) -> Callable[[], None]:
        progress(what, done, steps)

        def advance() -> None:
            nonlocal done
            done += 1
            progress(what, done, steps)

        return advance

    rows = [measure(case, repeats, step(case.label)) for case in cases]
    if two_processes:
        advance = step("two processes over loopback")
        loopback.measure(cases, rows, repeats)
        advance()
    elements = cases[0].elements
    for peer in peers:
        for row, setting, results in peer_run.measure(peer, elements, repeats, step(peer.name)):
            row.more["agreement"] = compare(_reference(cases), setting, results).to_dict()
            rows.append(row)
    add_ratios(rows)
    where["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    settings = {
        "elements": elements,
        "repeats": repeats,
        "per": "ReLU",
        "time": "median; processor time of one thread per party, both added",
        "loopback": "wall time of two processes" if two_processes else None,
    }
    return Result(rows, where, settings)


def _reference(cases: Sequence[Case]) -> Case:
    """What peers are compared with: the finest window of the run, an exact protocol, or the default."""
    chosen = [case for case in cases if comparable(case)]
    if not chosen:
        return grid(("table",), cases[0].elements, bits=(6,))[0]
    return max(chosen, key=lambda case: (case.protocol == "table", -case.shift, case.n or 0))
