"""The native kernels beside their NumPy definitions: one JSON line a kernel.

    OMP_NUM_THREADS=1 python benchmarks/bench_native.py [--repeats 15]

One thread, arrays in memory, no channel. Rates are millions of units a second, from the fastest repeat by the
thread's processor time: on a shared machine the median measures the neighbours. Native and NumPy alternate.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from circa.protocols import hash, kernels
from circa.protocols.garbling import halfgates
from circa.protocols.garbling.arithmetic import greater
from circa.protocols.garbling.circuit import Builder, Circuit
from circa.protocols.ot import leaves, softspoken
from circa.protocols.ot.expand import expand
from circa.protocols.ot.transpose import columns
from circa.protocols.prg import Prg

Run = Callable[[], object]
NATIVE = kernels.native()


def comparator(bits: int) -> Circuit:
    b = Builder()
    return b.finish([greater(b, b.garbler(bits), b.evaluator(bits))])


def measurements() -> Iterator[tuple[str, str, float, Run]]:
    """Kernel, unit, units in one run, and the run: public functions, which ask `kernels` each time."""
    prg = Prg(b"benchmark seed..")
    x, delta = prg.blocks(1 << 13), prg.blocks(1)[0] | np.array([1, 0], np.uint64)
    yield "tccr", "M blocks/s", len(x), lambda: hash.tccr(x, 0)
    yield "tccr_pair", "M COT/s", len(x), lambda: hash.tccr_pair(x, delta, 0)

    n = softspoken.MESSAGE_COLUMNS
    keys, r = prg.bytes(128 * 16).reshape(128, 16), prg.bytes(n // 8)
    u, out = np.empty((128, n // 8), np.uint8), np.empty((n, 2), np.uint64)
    yield "expand", "M blocks/s", n, lambda: expand(keys, 0, n // 128)
    yield "columns", "M columns/s", n, lambda: columns(u)
    for k in (2, 4, 6, 8):
        trees = leaves.depths(k)
        count = sum(1 << depth for depth in trees)
        forest = leaves.Leaves(prg.bytes(16 * count).reshape(count, 16), k)
        d = np.empty((len(trees), n // 8), np.uint8)
        steps = {
            "sender": lambda f=forest, d=d: leaves.sender_step(f, delta, d, out),
            "receiver": lambda f=forest, d=d: leaves.receiver_step(f, r, d, out),
        }
        for role, step in steps.items():
            yield f"softspoken {role}, k = {k}", "M COT/s", n, step

    circuit, instances = comparator(13), 1 << 16
    own, peers = (halfgates.ZeroLabels(prg.uint64((13, instances, 2))) for _ in range(2))
    none = np.zeros((0, instances), np.uint8)
    active = [halfgates.encode(zero, delta, prg.bits((13, instances))) for zero in (own, peers)]
    ands = circuit.ands * instances
    tables, _ = halfgates.garble(circuit, own, none, peers, delta, 0)
    yield "garble", "M AND/s", ands, lambda: halfgates.garble(circuit, own, none, peers, delta, 0, out=tables)
    yield "evaluate", "M AND/s", ands, lambda: halfgates.evaluate(circuit, *active, tables, 0)


def seconds(run: Run) -> float:
    """Processor time of one run, over as many as take a few milliseconds."""
    start, runs = time.thread_time(), 0
    while (took := time.thread_time() - start) < 5e-3 or not runs:
        run()
        runs += 1
    return took / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    root = Path(__file__).resolve().parents[1]
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip()
    setting = {"threads": 1, "cpus": os.cpu_count(), "machine": platform.machine(), "commit": commit}
    levels = NATIVE.levels() if NATIVE else []
    for name, unit, units, run in measurements():
        best: dict[str, float] = {}
        for _ in range(repeats):
            for level in [*levels, "numpy"]:
                if level != "numpy":
                    NATIVE.select(level)
                kernels.native = lambda level=level: None if level == "numpy" else NATIVE
                best[level] = min(best.get(level, 9e9), seconds(run))
        rates = {level: round(units / took / 1e6, 1) for level, took in best.items()}
        row = {"bench": "native", "kernel": name, "unit": unit, **rates}
        if levels:
            row["ratio"] = round(best["numpy"] / best[levels[0]], 1)
        print(json.dumps(row | setting), flush=True)


if __name__ == "__main__":
    main()
