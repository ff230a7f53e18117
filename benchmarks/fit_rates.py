"""The constants of circa/rates.py, fitted to whole inferences on this machine.

    python benchmarks/fit_rates.py [resnet20 resnet32 resnet18] [--protocols mnist_b] [--repeat 2]

Runs the networks with the table protocol, for both values of k that the lines take, and the small one with
every ReLU protocol, and solves for seconds a unit, least squares with no rate below zero, each party by
itself, then scaled so that a group's sum is what was measured. What is fitted is the processor time of the
parties' threads (`per_layer` of `circa bench network`), so other work on the machine disturbs little. Prints
the rates, and how far sums were off. The `message` that it prints includes waking up from waiting, which
circa/rates.py counts apart.
"""

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from circa.bench.architectures import find, provide
from circa.bench.inference import measure
from circa.estimate import estimate
from circa.network import network
from circa.protocols.relu import NAMES
from circa.rates import RATES

PARTIES = ("client", "server")
GROUPS = (("offline", "setup"), ("offline", "linear"), ("offline", "activate"), ("online", "activate"))
Sample = tuple[dict[str, float], tuple[float, float]]  # units of a layer, processor seconds of both parties


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["resnet20", "resnet32", "resnet18"])
    parser.add_argument("--protocols", default="mnist_b", help="the network that runs every protocol")
    parser.add_argument("--repeat", type=int, default=2)
    arguments = parser.parse_args()
    runs = [(name, "table", line) for name in arguments.models for line in ("lan", "wan")]
    runs += [(arguments.protocols, relu, "lan") for relu in NAMES if relu != "rescale"]
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    adds = seconds = 0.0
    for name, relu, line in runs:
        sys.stderr.write(f"{name}, {relu}, {line}\n")
        for key, found in collect(name, relu, line, arguments.repeat).items():
            if key == ("online", "linear"):
                adds, seconds = adds + found[0][0]["multiply_add"], seconds + found[0][1][1]
            else:
                samples[key] += found
    print(f'"multiply_add": (0.0, {seconds / adds:.2g})')
    for group in GROUPS:
        report(samples[group], group)


def collect(name: str, relu: str, line: str, repeat: int) -> dict[tuple[str, str], list[Sample]]:
    """Samples by phase and kind; the server's linear layers online are one sample."""
    with tempfile.TemporaryDirectory() as folder:
        label, path, program = provide(find(name), Path(folder), relu, 6)
        row = measure(label, path, program, network(line), repeat=repeat).row
    units = {
        (expected.layer, expected.phase): expected.units
        for expected in estimate(program, ot_k=row.environment["security"]["ot"]["k"]).rows
    }
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    adds = sum(part.get("multiply_add", 0.0) for (_, phase), part in units.items() if phase == "online")
    total = 0.0
    for layer in row.per_layer:
        spent = layer["client_cpu_seconds"], layer["server_cpu_seconds"]
        if (layer["phase"], layer["kind"]) == ("online", "linear"):
            total += spent[1]
            continue
        known = dict(units.get((layer["layer"], layer["phase"]), {}))
        known.pop("multiply_add", None)  # a share of work that is other layers'
        if known:
            samples[layer["phase"], layer["kind"]].append((known, spent))
    samples["online", "linear"] = [({"multiply_add": adds}, (0.0, total))]
    return samples


def report(samples: Sequence[Sample], group: tuple[str, str]) -> None:
    """Print a group's rates, as the table of circa/rates.py has them."""
    names = [name for name in RATES if any(units.get(name) for units, _ in samples)]
    matrix = np.array([[units.get(name, 0.0) for name in names] for units, _ in samples])
    fitted, off = [], []
    for i in range(len(PARTIES)):
        spent = np.array([seconds[i] for _, seconds in samples])
        rates = solve(matrix, spent)
        off.append((matrix @ rates).sum() / spent.sum())
        fitted.append(rates / off[-1])
    ratios = ", ".join(f"{party} {ratio:.2f}" for party, ratio in zip(PARTIES, off, strict=True))
    print(f"# {' '.join(group)}: {len(samples)} layers, scaled so that sums agree, before {ratios}")
    for name, client, server in zip(names, *fitted, strict=True):
        print(f'"{name}": ({client:.2g}, {server:.2g})')


def solve(matrix: NDArray[np.float64], spent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares, errors counted relative to the root of what is measured, so that neither small layers
    nor large ones decide alone. Rates that come out negative are left out, the worst one first.
    """
    weight = 1 / np.sqrt(np.maximum(spent, np.median(spent) / 4))
    rates = np.zeros(matrix.shape[1])
    chosen = list(range(matrix.shape[1]))
    while chosen:
        scale = matrix[:, chosen].max(axis=0)
        found: Any = np.linalg.lstsq(matrix[:, chosen] / scale * weight[:, None], spent * weight, rcond=None)[
            0
        ]
        if found.min() >= 0:
            rates[chosen] = found / scale
            break
        del chosen[int(found.argmin())]
    return rates


if __name__ == "__main__":
    main()
