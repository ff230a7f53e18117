"""Measure a whole private inference between two processes, over a line: one row a network and line.

Seconds are wall time at the client, from opening the connection to the last correlation (offline) and from
the input to the logits (online); bytes and rounds are what its channel counted, and equal to `circa
estimate`. A repetition is a session of its own: handshake, base OTs, keys, one inference. Apart from those,
`first` tells what a cold start costs, and `further` an inference in a session that goes on.
"""

import json
import statistics
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from circa.network import Network
from circa.program import Program

from .link import Link
from .processes import read, start
from .settings import settings

__all__ = ["PHASES", "Measured", "Row", "measure"]

Progress = Callable[[str, int, int], None]
PHASES = ("offline", "online")


@dataclass
class Row:
    """Medians over the sessions after the first, where they differ. Bytes up go from client to server. None
    is what another system does not tell (peers/inference.py).

    per_layer: dicts with layer, kind, phase, seconds at the client and at the server, the processor seconds
    of their threads, bytes_up, bytes_down, rounds, and each party's peak of resident memory at that time.
    """

    model: str
    protocol: str
    network: str
    offline_seconds: float | None
    online_seconds: float
    offline_bytes_up: int | None
    offline_bytes_down: int | None
    online_bytes_up: int | None
    online_bytes_down: int | None
    online_rounds: int | None
    client_stored_bytes: int | None  # offline material, as arrays, between the phases
    server_stored_bytes: int | None
    peak_rss_client: int
    peak_rss_server: int
    per_layer: list[dict[str, Any]]
    first: dict[str, float] = field(default_factory=dict)
    further: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)

    @property
    def assumes(self) -> str | None:
        """What another system assumes; None for our own rows."""
        return self.environment.get("assumes")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Measured:
    """A row, and the last session in full, for a trace: times, and each party's spans."""

    row: Row
    times: dict[str, float]
    client_spans: list[dict[str, Any]]
    server_spans: list[dict[str, Any]]


def measure(
    model: str,
    path: Path,
    program: Program,
    line: Network,
    images: int = 1,
    repeat: int = 3,
    threads: int = 1,
    workers: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Measured:
    """Run both parties on the .circa file at `path`. threads: of PyTorch, each party; workers: of the server,
    for its linear layers offline, by default as many as threads. Raises InferenceError where a process fails.
    """
    workers = workers or threads
    environment = settings(program, line, images, repeat)  # the load is that of the moment before
    environment |= {"threads_per_party": threads, "server_workers": workers}
    with (
        tempfile.TemporaryFile("w+") as said,
        start("server", said, str(path), str(workers), str(threads)) as server,
    ):
        started = read(server, said)
        emulated = line.name != "loopback"
        with Link(line, started["address"]) if emulated else nullcontext() as link:
            client = _client(
                program, link.address if link else started["address"], line, images, repeat, threads, progress
            )
        assert server.stdin is not None
        server.stdin.close()
        ended = read(server, said)
    reports = ended["reports"]
    sessions = client["sessions"]
    for session, report in zip(sessions, reports, strict=True):
        end = session["times"]["end"]
        session["server_spans"] = [span for span in report["spans"] if span["start"] < end]
        session["server_stored"] = report["stored_bytes"]
    row = _row(model, program, line, sessions, client["further"])
    row.peak_rss_client = max(session["peak_bytes"] for session in sessions)
    row.peak_rss_server = max(ended["workers_peak_bytes"], *(report["peak_bytes"] for report in reports))
    row.first["weights_seconds"] = started["weights_seconds"]
    environment["security"]["ot"]["k"] = client["ot_k"]
    row.environment = environment
    last = sessions[-1]
    return Measured(row, last["times"], last["spans"], last["server_spans"])


def _row(
    model: str,
    program: Program,
    line: Network,
    sessions: list[dict[str, Any]],
    further: list[dict[str, float]],
) -> Row:
    place = {op.name: i for i, op in enumerate(program.operations)}
    layers = [row for phase in PHASES for row in _layers(_typical(sessions[1:], phase), phase)]
    layers.sort(key=lambda row: place.get(row["layer"], -1))  # the session's own rows first

    def total(phase: str, key: str) -> int:
        return sum(layer[key] for layer in layers if layer["phase"] == phase)

    return Row(
        model=model,
        protocol=program.relu,
        network=line.name,
        offline_seconds=_median(sessions[1:], "offline"),
        online_seconds=_median(sessions[1:], "online"),
        offline_bytes_up=total("offline", "bytes_up"),
        offline_bytes_down=total("offline", "bytes_down"),
        online_bytes_up=total("online", "bytes_up"),
        online_bytes_down=total("online", "bytes_down"),
        online_rounds=total("online", "rounds"),
        client_stored_bytes=sessions[-1]["stored_bytes"],
        server_stored_bytes=sessions[-1]["server_stored"],
        peak_rss_client=0,
        peak_rss_server=0,
        per_layer=layers,
        first={f"{phase}_seconds": _seconds(sessions[0]["times"], phase) for phase in PHASES},
        further={
            f"{phase}_seconds": statistics.median(_seconds(times, phase) for times in further)
            for phase in PHASES
        },
    )


def _layers(session: dict[str, Any], phase: str) -> list[dict[str, Any]]:
    """The session's spans of a phase, added up by layer."""
    rows: dict[str, dict[str, Any]] = {}
    for party in ("client", "server"):
        for span in session["spans" if party == "client" else "server_spans"]:
            if span["phase"] != phase:
                continue
            row = rows.setdefault(span["layer"], _empty(span))
            row["seconds" if party == "client" else "server_seconds"] += span["end"] - span["start"]
            row[f"{party}_cpu_seconds"] += span["cpu_seconds"]
            row[f"peak_rss_{party}"] = max(row[f"peak_rss_{party}"], span["peak_bytes"])
            if party == "client":
                row["kind"] = span["kind"]
                row["bytes_up"] += span["bytes_sent"]
                row["bytes_down"] += span["bytes_received"]
                row["rounds"] += span["rounds"]
    return list(rows.values())


def _empty(span: dict[str, Any]) -> dict[str, Any]:
    return {
        "layer": span["layer"],
        "kind": span["kind"],
        "phase": span["phase"],
        "seconds": 0.0,
        "server_seconds": 0.0,
        "client_cpu_seconds": 0.0,
        "server_cpu_seconds": 0.0,
        "bytes_up": 0,
        "bytes_down": 0,
        "rounds": 0,
        "peak_rss_client": 0,
        "peak_rss_server": 0,
    }


def _seconds(times: dict[str, float], phase: str) -> float:
    begin, end = ("start", "prepared") if phase == "offline" else ("prepared", "end")
    return times[end] - times[begin]


def _median(sessions: list[dict[str, Any]], phase: str) -> float:
    return statistics.median(_seconds(session["times"], phase) for session in sessions)


def _typical(sessions: list[dict[str, Any]], phase: str) -> dict[str, Any]:
    """The session whose seconds are the median (of an even number, the faster one in the middle)."""
    ordered = sorted(sessions, key=lambda session: _seconds(session["times"], phase))
    return ordered[(len(ordered) - 1) // 2]


def _client(
    program: Program,
    address: str,
    line: Network,
    images: int,
    repeat: int,
    threads: int,
    progress: Progress,
) -> dict[str, Any]:
    entry = program.input
    wanted = {
        "address": address,
        "line": asdict(line),
        "shape": (images, *entry.shape),
        "limit": entry.limit * 2.0**-entry.frac_bits,
        "repeat": repeat,
    }
    with tempfile.TemporaryFile("w+") as said, start("client", said, str(threads)) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(wanted) + "\n")
        process.stdin.close()
        while "progress" in (result := read(process, said)):
            progress(*result["progress"])
        return result
