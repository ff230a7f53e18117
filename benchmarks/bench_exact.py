"""Exact linear layers modulo M against a float32 `conv2d` of the same layer: one JSON line per layer and
setting.

    python benchmarks/bench_exact.py [--threads 1 2] [--repeats 30]

`ratio` is the time of the exact layer, digits and modular sums included, over that of float32 conv2d
(inference mode, same threads). Median of the repeats after a warm-up. `vnni` says whether the 8-bit engine
was chosen.
"""

import argparse
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from circa.exact import ExactLinear, layer
from circa.exact.bytes import available, by_bytes
from circa.program import Linear
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
    "fully connected 512->1000": LinearShape.fully_connected(512, 1000),
    "fully connected 4096->4096": LinearShape.fully_connected(4096, 4096),
}
WAYS = {"fastest": by_bytes, "doubles": lambda *_: None}


def median(function: Callable[[], object], repeats: int) -> float:
    for _ in range(3):
        function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(
    name: str, g: LinearShape, modulus: Modulus, threads: int, repeats: int
) -> Iterator[dict[str, object]]:
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    weight = np.clip(np.rint(rng.normal(size=g.weight_shape) * 25), -127, 127).astype(np.int64)  # f_w = 8
    op = Linear(name, (0,), g.output_shape, 0, geometry=g, weight_bits=8)
    image = torch.randn(1, *g.input_shape)
    kernel = torch.from_numpy(weight).float()
    padding = g.padding[::2]
    with torch.inference_mode():
        plain = median(
            lambda: torch.nn.functional.conv2d(image, kernel, None, g.stride, padding, g.dilation, g.groups),
            repeats,
        )
    x = rng.integers(0, modulus.value, (1, *g.input_shape), dtype=np.uint32)
    for arithmetic, way in WAYS.items():
        layer.by_bytes = way  # type: ignore[assignment]
        exact = ExactLinear(op, weight, None, modulus)
        seconds = median(lambda exact=exact: exact(x), repeats)  # type: ignore[misc]
        yield {
            "layer": name,
            "modulus": modulus.value,
            "arithmetic": arithmetic,
            "threads": threads,
            "exact_ms": round(1e3 * seconds, 4),
            "float32_conv2d_ms": round(1e3 * plain, 4),
            "ratio": round(seconds / plain, 3),
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
        "bytes": available(),
        "commit": commit,
    }
    for threads in arguments.threads:
        for modulus in (RING32, PRIME31):
            for name, g in LAYERS.items():
                for row in measure(name, g, modulus, threads, arguments.repeats):
                    print(json.dumps(row | setting), flush=True)


if __name__ == "__main__":
    main()
