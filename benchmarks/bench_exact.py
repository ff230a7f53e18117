"""Exact linear layers modulo M against a float32 `conv2d` of the same layer: one JSON line per layer and
setting.

    python benchmarks/bench_exact.py [--threads 1 2] [--repeats 30]

`ratio` is the time of the exact layer, modular sums included, over that of float32 conv2d
(inference mode, same threads). Medians of the repeats after a warm-up, taking turns; `best_ratio` compares
the fastest repeats. One thread is timed in its CPU seconds, which other work on the machine disturbs less;
two in wall seconds. `arithmetic` is a level of the native kernel, or `doubles`, which runs everywhere.
"""

import argparse
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from circa.exact import ExactLinear, layer
from circa.exact.words import by_words
from circa.program import Linear
from circa.protocols import kernels
from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import PRIME31, RING32, Modulus

LAYERS = {
    "resnet20 16->16 3x3 32x32": LinearShape(16, 32, 32, 16, (3, 3), (1, 1), (1, 1, 1, 1)),
    "resnet20 64->64 3x3 8x8": LinearShape(64, 8, 8, 64, (3, 3), (1, 1), (1, 1, 1, 1)),
    "resnet18 64->64 3x3 32x32": LinearShape(64, 32, 32, 64, (3, 3), (1, 1), (1, 1, 1, 1)),
    "resnet18 64->128 3x3 /2 32x32": LinearShape(64, 32, 32, 128, (3, 3), (2, 2), (1, 1, 1, 1)),
    "resnet18 64->128 1x1 /2 32x32": LinearShape(64, 32, 32, 128, (1, 1), (2, 2)),
    "resnet18 512->512 3x3 4x4": LinearShape(512, 4, 4, 512, (3, 3), (1, 1), (1, 1, 1, 1)),
    "first 3->64 7x7 /2 64x64": LinearShape(3, 64, 64, 64, (7, 7), (2, 2), (3, 3, 3, 3)),
    "depthwise 64 3x3 32x32": LinearShape(64, 32, 32, 64, (3, 3), (1, 1), (1, 1, 1, 1), groups=64),
    "mobilenet 32->192 1x1 28x28": LinearShape(32, 28, 28, 192),
    "mobilenet depthwise 192 3x3 /2 28x28": LinearShape(
        192, 28, 28, 192, (3, 3), (2, 2), (1, 1, 1, 1), groups=192
    ),
    "vgg16 512->512 3x3 2x2": LinearShape(512, 2, 2, 512, (3, 3), (1, 1), (1, 1, 1, 1)),
    "vgg16 256->256 3x3 56x56": LinearShape(256, 56, 56, 256, (3, 3), (1, 1), (1, 1, 1, 1)),
    "resnext 128->128 3x3 16x16, 32 groups": LinearShape(
        128, 16, 16, 128, (3, 3), (1, 1), (1, 1, 1, 1), groups=32
    ),
    "first 3->16 3x3 32x32": LinearShape(3, 32, 32, 16, (3, 3), (1, 1), (1, 1, 1, 1)),
    "fully connected 64->10": LinearShape.fully_connected(64, 10),
    "fully connected 512->1000": LinearShape.fully_connected(512, 1000),
    "fully connected 4096->4096": LinearShape.fully_connected(4096, 4096),
}
NATIVE = kernels.native()
WAYS: dict[str, Callable[..., object]] = {
    level: partial(by_words, level=level) for level in (NATIVE.convolution_levels() if NATIVE else ())
} | {"doubles": lambda *_: None}


def times(
    functions: dict[str, Callable[[], object]], clock: Callable[[], float], repeats: int
) -> dict[str, list[float]]:
    """Milliseconds of every repeat; the functions take turns."""
    measured: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 3):
        for name, function in functions.items():
            start = clock()
            function()
            if repeat >= 3:
                measured[name].append(1e3 * (clock() - start))
    return measured


def measure(
    name: str, g: LinearShape, modulus: Modulus, threads: int, repeats: int
) -> Iterator[dict[str, object]]:
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    weight = np.clip(np.rint(rng.normal(size=g.weight_shape) * 25), -127, 127).astype(np.int64)  # f_w = 8
    op = Linear(name, (0,), g.output_shape, 0, geometry=g, weight_bits=8)
    image, kernel, padding = torch.randn(1, *g.input_shape), torch.from_numpy(weight).float(), g.padding[::2]
    x = rng.integers(0, modulus.value, (1, *g.input_shape), dtype=np.uint32)

    def plain() -> torch.Tensor:
        with torch.inference_mode():
            return torch.nn.functional.conv2d(image, kernel, None, g.stride, padding, g.dilation, g.groups)

    functions: dict[str, Callable[[], object]] = {"conv2d": plain}
    for way, build in WAYS.items():
        with patch.object(layer, "by_words", build):
            functions[way] = partial(ExactLinear(op, weight, None, modulus), x)
    measured = times(functions, time.thread_time if threads == 1 else time.perf_counter, repeats)
    reference = measured.pop("conv2d")
    for way, spent in measured.items():
        yield {
            "layer": name,
            "modulus": modulus.value,
            "arithmetic": way,
            "threads": threads,
            "exact_ms": round(statistics.median(spent), 4),
            "float32_conv2d_ms": round(statistics.median(reference), 4),
            "ratio": round(statistics.median(spent) / statistics.median(reference), 3),
            "best_ratio": round(min(spent) / min(reference), 3),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.strip()
    setting = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "commit": commit,
    }
    for threads in arguments.threads:
        for modulus in (RING32, PRIME31):
            for name, g in LAYERS.items():
                for row in measure(name, g, modulus, threads, arguments.repeats):
                    print(json.dumps(row | setting), flush=True)


if __name__ == "__main__":
    main()
