"""The two processes of a measured inference: a real server and a real client, which report to a third.

    python -m circa.bench.parties server MODEL.circa WORKERS THREADS
    python -m circa.bench.parties client THREADS

The server prints {"address", "weights_seconds"}, serves until its stdin ends, and prints its reports. The
client reads its arguments as an object from stdin, prints {"progress": [what, done, total]} as it goes on,
and at last what it measured. One JSON object a line.

    sessions    1 + repeat, one inference each, from the connection on; the first finds everything cold
    further     more inferences in the last session, which has its keys and base OTs already
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from circa.network import Network
from circa.report import Report

__all__ = ["client", "server"]

Progress = Callable[[str, int, int], None]


def server(path: str, workers: int) -> None:
    """Serve the file; `weights_seconds` is what preparing the weights took, once for all clients."""
    from circa.model import ConvertedModel
    from circa.server import Server

    reports: list[Report] = []

    def new_report() -> Report:
        reports.append(Report(watch_memory=True))
        return reports[-1]

    model = ConvertedModel.load(path)
    start = time.perf_counter()
    with Server(model, port=0, new_report=new_report, workers=workers) as running:
        _say({"address": running.address, "weights_seconds": time.perf_counter() - start})
        sys.stdin.read()
    children = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # workers that are processes
    _say({"reports": [_report(report) for report in reports], "workers_peak_bytes": children})


def client(
    address: str,
    line: dict[str, Any],
    shape: tuple[int, ...],
    limit: float,
    repeat: int,
    progress: Progress,
) -> dict[str, Any]:
    """Times, spans and stock of every session; times of the further inferences. line: a `Network`'s fields.

    The input is random, of this shape, images first, and at most `limit` in size.
    """
    import numpy as np

    from circa.client import Session, connect

    x = np.random.default_rng(0).standard_normal(shape).clip(-limit, limit)
    total, done = 1 + 2 * repeat, 0
    sessions: list[dict[str, Any]] = []
    further: list[dict[str, float]] = []

    def inference(session: Session, start: float) -> dict[str, float]:
        nonlocal done
        session.prepare(len(x), lambda what, *_: progress(what or "online", done, total))
        prepared = time.perf_counter()
        session.infer(x)
        end = time.perf_counter()
        done += 1
        return {"start": start, "prepared": prepared, "end": end}

    for last in [False] * repeat + [True]:
        start, report = time.perf_counter(), Report(watch_memory=True)
        with connect(address, report=report, network=Network(**line)) as session:
            ot_k = session.ot_k
            sessions.append({"times": inference(session, start), **_report(report)})
            if last:
                further += [inference(session, time.perf_counter()) for _ in range(repeat)]
                sessions[-1]["peak_bytes"] = report.peak_bytes
    progress("", total, total)
    return {"sessions": sessions, "further": further, "ot_k": ot_k}


def _report(report: Report) -> dict[str, Any]:
    return {
        "spans": [asdict(span) for span in report.spans],
        "stored_bytes": report.stored_bytes,
        "peak_bytes": report.peak_bytes,
    }


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    import torch

    from circa.protocols.errors import CircaError

    role, *path, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    try:
        if role == "server":
            server(path[0], int(path[1]))
            return
        wanted = json.loads(sys.stdin.readline())
        _say(client(**wanted, progress=lambda *step: _say({"progress": step})))
    except CircaError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
