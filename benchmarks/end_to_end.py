"""Whole private inferences over every line: `circa bench network` for a matrix, kept as JSON, with a figure.

    python benchmarks/end_to_end.py [resnet20 resnet32 resnet18 vgg16 resnet18_64]
        [--network loopback lan wan] [--repeat 3] [--peer crypten spu]
    python benchmarks/end_to_end.py --table results/end_to_end.jsonl

The first form appends a line a row to results/end_to_end.jsonl as it goes on. Both then take the file's rows,
the latest of each kind: draw end_to_end.{png,svg} beside it and print tables in Markdown, with what `circa
estimate` predicted. Peers must have been installed with `circa bench peers install`.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from circa.bench import network_figure
from circa.bench.architectures import find, provide
from circa.bench.inference import Row, measure
from circa.bench.peers import inference as peer_inference
from circa.bench.peers.environments import by_name
from circa.estimate import estimate
from circa.network import NETWORKS, network
from circa.protocols.ot.choice import best_k
from harness import RESULTS, markdown, record, setting

NAME = "end_to_end"
MODELS = ("resnet20", "resnet32", "resnet18", "vgg16", "resnet18_64")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--network", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--relu", default="table")
    parser.add_argument("--bits", type=int, default=6)
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peer", nargs="+", default=[], help="crypten, spu")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--table", type=Path, help="print the tables of this file, measure nothing")
    arguments = parser.parse_args()
    if arguments.table is None:
        arguments.table = run(arguments)
    latest = {}
    for line in arguments.table.read_text().splitlines():
        row = json.loads(line)
        latest[row["model"], row["protocol"], row["network"], row["environment"]["modulus"]] = row
    rows = list(latest.values())
    for suffix in (".png", ".svg"):
        network_figure.draw([Row(**row) for row in rows], arguments.table.with_suffix(suffix))
    print(setting(rows[0]["environment"]) + "\n")
    print(table(rows) + "\n")
    print(predictions(rows))


def run(arguments: argparse.Namespace) -> Path:
    """Measure the matrix; returns the file of the rows."""
    peers = [by_name(name) for name in arguments.peer]
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            label, path, program = provide(find(name), Path(folder), arguments.relu, arguments.bits)
            for line in map(network, arguments.network):
                _say(f"{label}, {line.name}")
                row = measure(label, path, program, line, arguments.images, arguments.repeat).row
                total = estimate(program, arguments.images, best_k(line.bits_per_second)).total
                row.environment["predicted"] = {
                    phase: total(phase, line)["seconds"] for phase in ("offline", "online")
                }
                record(row.to_dict(), NAME, arguments.output)
            for peer in peers:
                _say(f"{label}, {peer.name}")
                for row in peer_inference.measure(peer, label, path, arguments.images, arguments.repeat):
                    record(row.to_dict(), NAME, arguments.output)
    return Path(arguments.output) / f"{NAME}.jsonl"


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def table(rows: list[dict[str, Any]]) -> str:
    """Offline and online apart; megabytes both ways together."""
    header = ["network", "line", "protocol", "offline s", "further", "offline MB", "online s", "online MB"]
    header += ["round trips", "stored MB", "peak MB"]
    cells = []
    for row in rows:
        cells.append(
            [
                row["model"],
                row["network"],
                row["protocol"],
                row["offline_seconds"],
                row["further"].get("offline_seconds"),
                _megabytes(row, "offline"),
                row["online_seconds"],
                _megabytes(row, "online"),
                row["online_rounds"],
                _both(row["client_stored_bytes"], row["server_stored_bytes"]),
                _both(row["peak_rss_client"], row["peak_rss_server"]),
            ]
        )
    return markdown(header, cells)


def predictions(rows: list[dict[str, Any]]) -> str:
    """Measured seconds beside `circa estimate`'s at the time of the measurement."""
    header = ["network", "line", "offline s", "predicted", "online s", "predicted"]
    cells = []
    for row in rows:
        if said := row["environment"].get("predicted"):
            offline, online = row["offline_seconds"], row["online_seconds"]
            cells.append([row["model"], row["network"], offline, said["offline"], online, said["online"]])
    return markdown(header, cells)


def _megabytes(row: dict[str, Any], phase: str) -> float | None:
    up, down = row[f"{phase}_bytes_up"], row[f"{phase}_bytes_down"]
    both = row["environment"].get(f"{phase}_bytes") if up is None else up + down
    return None if both is None else both / 1e6


def _both(client: int | None, server: int | None) -> str:
    return "" if client is None or server is None else f"{client / 1e6:.1f} / {server / 1e6:.1f}"


if __name__ == "__main__":
    main()
