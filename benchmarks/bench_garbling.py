"""Half-gates garbling and evaluation, M AND/s: one JSON line for each circuit.

    OMP_NUM_THREADS=1 python benchmarks/bench_garbling.py [--instances 65536] [--repeats 7]

One thread, CPU seconds, tables and labels in memory touched before, no channel. The 13-bit comparator
is what other libraries are timed on; the rest are the circuits of the ReLU protocols, with the microseconds a
ReLU. Medians over the repeats, which alternate garbling and evaluation; `spread` is (slowest - fastest) /
median. CIRCA_NATIVE=0 in the environment times the NumPy version.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np

from circa.protocols.garbling.arithmetic import greater
from circa.protocols.garbling.circuit import Builder, Circuit
from circa.protocols.garbling.halfgates import ZeroLabels, encode, evaluate, garble
from circa.protocols.garbling.relu_circuits import delphi_relu, exact_sign, stochastic_sign, window_sign
from circa.protocols.garbling.yao import label_bytes, table_bytes
from circa.protocols.kernels import native
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31


def comparator(bits: int) -> Circuit:
    b = Builder()
    return b.finish([greater(b, b.garbler(bits), b.evaluator(bits))])


CIRCUITS = {
    "comparator 13": comparator(13),
    "window 6": window_sign(6),
    "circa 17": stochastic_sign(PRIME31, 17, "poszero"),
    "circa 12": stochastic_sign(PRIME31, 12, "poszero"),
    "circa exact sign": exact_sign(PRIME31),
    "delphi": delphi_relu(PRIME31),
}


def measure(circuit: Circuit, instances: int, repeats: int) -> dict[str, object]:
    prg = Prg(b"benchmark seed..")
    delta = prg.blocks(1)[0] | np.array([1, 0], np.uint64)
    own = ZeroLabels(prg.uint64((circuit.garbler_inputs, instances, 2)))
    peers = ZeroLabels(prg.uint64((circuit.evaluator_inputs, instances, 2)))
    fixed = prg.bits((circuit.fixed_inputs, instances))
    active = [encode(zero, delta, prg.bits(zero.blocks.shape[:2])) for zero in (own, peers)]
    tables, _ = garble(circuit, own, fixed, peers, delta, 0)  # warm-up, as is the next line
    evaluate(circuit, active[0], active[1], tables, 0)
    seconds: dict[str, list[float]] = {"garble": [], "evaluate": []}
    for _ in range(repeats):
        start = time.process_time()
        garble(circuit, own, fixed, peers, delta, 0, out=tables)
        middle = time.process_time()
        evaluate(circuit, active[0], active[1], tables, 0)
        seconds["garble"].append(middle - start)
        seconds["evaluate"].append(time.process_time() - middle)
    row: dict[str, object] = {
        "and_gates": circuit.ands,
        "table_bytes": table_bytes(circuit, 1),
        "label_bytes": label_bytes(circuit, 1),
        "instances": instances,
    }
    for name, times in seconds.items():
        median = statistics.median(times)
        row[f"{name}_mand_per_s"] = round(circuit.ands * instances / median / 1e6, 1)
        row[f"{name}_us"] = round(1e6 * median / instances, 3)
        row[f"{name}_spread"] = round((max(times) - min(times)) / median, 2)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--instances", type=int, default=1 << 16)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.strip()
    kernels = native()
    for name, circuit in CIRCUITS.items():
        # delphi's tables alone are 480 MB for 65,536 instances
        instances = min(arguments.instances, (1 << 21) // circuit.ands)
        row = {"bench": "garbling", "circuit": name} | measure(circuit, instances, arguments.repeats)
        row["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        setting = {
            "kernels": kernels.level() if kernels else "numpy",
            "threads": 1,
            "cpus": os.cpu_count(),
            "machine": platform.processor() or platform.machine(),
            "commit": commit,
        }
        print(json.dumps(row | setting), flush=True)


if __name__ == "__main__":
    main()
