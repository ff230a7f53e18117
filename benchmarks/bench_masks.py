"""What a mask saves: a ResNet-18 of CIFAR shape, all its ReLUs and a random choice of them, in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_masks.py [--stem linear] [--kept 50000] [--repeats 10]

Bytes of one image are those of `circa.estimate`, which a test holds equal to the measured ones. Times are the
ReLU layers' online work, both parties added, on one thread: the receiver runs inside the sender's `recv`
(bench_relu_online.py), all layers one after the other. Shares are uniform, the correlations come from an
ideal OT, and material is used in every repeat, which no deployment may do. One JSON line for every kind of
mask. `--stem linear` takes the first ReLU, behind the stem, out of the network: 491,520 of 557,056 remain.
"""

import argparse
import dataclasses
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from bench_relu_online import Line

import circa
from circa.bench.environment import describe
from circa.estimate import estimate
from circa.masked import protocol
from circa.masks import Mask
from circa.models import resnet18_cifar
from circa.program import Activate, Program
from circa.protocols.channel import memory_pair
from circa.protocols.ot.ideal import ideal_pair
from circa.protocols.prg import Prg
from circa.protocols.steps import complete
from harness import record

MASKS = (None, "identity", "zero")


class Turns(Line):
    """The peer runs once, when nothing is there: the rescale's answer follows that of the ReLU."""

    def recv(self, size: int) -> Any:
        return self.inbox.pop(0) if self.inbox else super().recv(size)


def network(stem: str) -> Program:
    masks = {"relu": torch.zeros(1)} if stem == "linear" else None
    return circa.convert(resnet18_cifar().eval(), torch.randn(4, 3, 32, 32), masks=masks).program


def masked(program: Program, count: int, others: str, seed: int) -> Program:
    """`count` random elements of all activations that have sign tests keep them."""
    sizes = [op.elements for op in program.activations if op.sign_tests]
    kept = np.zeros(sum(sizes), np.bool_)
    kept[np.random.default_rng(seed).permutation(kept.size)[:count]] = True
    parts = iter(np.split(kept, np.cumsum(sizes)[:-1]))
    operations = tuple(
        dataclasses.replace(op, mask=Mask.of(next(parts).reshape(op.shape), others))
        if isinstance(op, Activate) and op.sign_tests
        else op
        for op in program.operations
    )
    return dataclasses.replace(program, operations=operations)


def layer_seconds(program: Program, op: Activate, repeats: int) -> float:
    act, run, prg = op.activation(program.modulus), protocol(program, op), Prg(b"benchmark inputs")
    z_c, z_s, y_c = (program.modulus.uniform(prg, act.shape(1)) for _ in range(3))
    if op.mask is not None:
        op.mask.clear(y_c.reshape(1, *op.shape))
    left, right = ideal_pair(prg.fork())
    ends = memory_pair()
    with ThreadPoolExecutor(1) as thread:
        sender = thread.submit(complete, run.offline_sender(ends[0], left, act, 1, Prg(b"benchmark sender")))
        received = complete(run.offline_receiver(ends[1], right, act, z_c, y_c, Prg(b"benchmark recver")))
        sent = sender.result()
    seconds = []
    for _ in range(repeats + 1):
        line = Turns(lambda ch: run.online_receiver(ch, act, received))
        start = time.perf_counter()
        run.online_sender(line, act, z_s, sent)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def measure(program: Program, others: str | None, repeats: int) -> dict[str, Any]:
    rows = estimate(program).rows
    sizes = {
        (phase, kind): sum(
            row.bytes_sent + row.bytes_received for row in rows if row.phase == phase and row.kind == kind
        )
        for phase in ("offline", "online")
        for kind in {row.kind for row in rows}
    }
    seconds = sum(layer_seconds(program, op, repeats) for op in program.activations)
    return {
        "network": "resnet18_cifar",
        "others": others,
        "relus": program.relus,
        "activation_layers": len(program.activations),
        "relu_online_bytes": sizes["online", "activate"],
        "online_bytes": sum(size for (phase, _), size in sizes.items() if phase == "online"),
        "relu_offline_bytes": sizes["offline", "activate"],
        "online_rounds": sum(row.rounds for row in rows if row.phase == "online"),
        "relu_online_ms": round(1e3 * seconds, 2),
        "repeats": repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stem", choices=("relu", "linear"), default="relu")
    parser.add_argument("--kept", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    whole = network(args.stem)
    for others in MASKS:
        program = whole if others is None else masked(whole, args.kept, others, args.seed)
        row = measure(program, others, args.repeats)
        print(json.dumps(row), flush=True)
        record(row | describe(), "masks")


if __name__ == "__main__":
    main()
