"""What a ReLU costs, in full: `circa bench relu` over more k and n, kept as JSON, with figure and table.

    python benchmarks/relu_cost.py [--elements 65536] [--repeats 5] [--peer crypten] [--peer spu]
    python benchmarks/relu_cost.py --table results/relu_cost.jsonl

The first form appends a line to results/relu_cost.jsonl and draws results/relu_cost.{png,svg}; both print the
table of the last run, in Markdown. Peers must have been installed with `circa bench peers install`.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from harness import RESULTS, last, markdown, record, setting

TRUNCATE = (4, 8, 12, 15, 17, 20)  # k
BITS = (3, 4, 5, 6, 7, 8, 11, 13)  # n; a table ends at 8
COLUMNS = {
    "AND gates": "and_gates",
    "tables, B": "table_bytes",
    "client stores, B": "client_stored_bytes",
    "server stores, B": "server_stored_bytes",
    "offline, B": "offline_bytes",
    "online, B": "online_bytes",
    "round trips": "online_rounds",
    "garble, µs": "garble_us",
    "evaluate, µs": "evaluate_us",
    "offline, µs": "offline_us",
    "online, µs": "online_us",
}
RATIOS = {
    "tables": "table_bytes",
    "client stores": "client_stored_bytes",
    "online bytes": "online_bytes",
    "online time": "online_us",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, default=1 << 16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--shift", type=int, default=0, help="bits of the exact rescale")
    parser.add_argument("--peer", action="append", default=[], help="crypten or spu")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--table", type=Path, help="print the table of this file's last run, measure nothing")
    arguments = parser.parse_args()
    if arguments.table is None:
        arguments.table = measure(arguments)
    result = last(arguments.table)
    print(setting(result["environment"]) + "\n")
    print(table(result["rows"]) + "\n")
    print(ratios(result["rows"]))


def measure(arguments: argparse.Namespace) -> Path:
    from circa.bench import figure, suite
    from circa.bench.cases import RELUS, grid
    from circa.bench.peers.environments import by_name

    figure.check()
    cases = grid(RELUS, arguments.elements, BITS, TRUNCATE, (arguments.shift,))
    peers = [by_name(name) for name in arguments.peer]
    result = suite.run(cases, arguments.repeats, peers, progress=_say)
    figure.draw(result.rows, arguments.output)
    return record(result.to_dict(), "relu_cost", arguments.output)


def _say(what: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r{done}/{total} {what:40s}")
    sys.stderr.flush()


def table(rows: list[dict[str, Any]]) -> str:
    """Costs per ReLU."""
    cells = [[label(row), *(row[name] for name in COLUMNS.values())] for row in rows]
    return markdown(["per ReLU", *COLUMNS], cells)


def ratios(rows: list[dict[str, Any]]) -> str:
    """How many times less than Delphi."""
    compared = [row for row in rows if row["ratios"]]
    cells = [[label(row), *(row["ratios"].get(name) for name in RATIOS.values())] for row in compared]
    return markdown(["times less than `delphi`", *RATIOS], cells)


def label(row: dict[str, Any]) -> str:
    parameters = [f"{name} = {row[name]}" for name in ("k", "n") if row[name]]
    return ", ".join([f"`{row['protocol']}`", *parameters])


if __name__ == "__main__":
    main()
