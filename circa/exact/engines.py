"""Convolutions of 8-bit digits with 8-bit weights: the sums are integers below 2^24, exact in float32.

Two engines with equal results. `int8`: oneDNN's quantised convolution, which processors with 8-bit multiply-
and-add instructions (VNNI, AMX) run about four times as fast as floating point; others may saturate
intermediate sums. `float32`: torch's ordinary convolution, exact unless the library picks a transform
(Winograd, FFT) that rounds. So `engine` tries each once, on the largest sums there are, and takes the faster
of those that are right.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circa.protocols.linear.shape import LinearShape

__all__ = ["Convolution", "Engine", "engine", "float32", "int8"]

Convolution = Callable[[Tensor], Tensor]
"""uint8 digits (n, height, width, channels) to float32 sums (n, out height, out width, out channels)."""
Engine = Callable[[LinearShape, NDArray[np.int64]], Convolution]
"""Geometry and weights in -128..127 -> convolution. The digits have the geometry's padding already."""


def int8(g: LinearShape, weight: NDArray[np.int64]) -> Convolution:
    out = weight.shape[0]
    ones, zeros = torch.ones(out), torch.zeros(out, dtype=torch.int32)
    stride, dilation = list(g.stride), list(g.dilation)
    ops: Any = torch.ops.onednn
    kernel = torch.from_numpy(weight.astype(np.int8))
    packed = ops.qconv_prepack(kernel, ones, 1.0, 0, stride, [0, 0], dilation, g.groups, None)

    def convolve(digits: Tensor) -> Tensor:
        sums: Tensor = ops.qconv2d_pointwise(
            *(digits.permute(0, 3, 1, 2), 1.0, 0, packed, ones, zeros, None),
            *(stride, [0, 0], dilation, g.groups, 1.0, 0, torch.float32, "none", [], ""),
        )
        return sums.permute(0, 2, 3, 1).contiguous()

    return convolve


def float32(g: LinearShape, weight: NDArray[np.int64]) -> Convolution:
    kernel = torch.from_numpy(weight.astype(np.float32)).contiguous(memory_format=torch.channels_last)

    def convolve(digits: Tensor) -> Tensor:
        image = digits.float().permute(0, 3, 1, 2)
        sums = torch.nn.functional.conv2d(image, kernel, None, g.stride, 0, g.dilation, g.groups)
        return sums.permute(0, 2, 3, 1).contiguous()

    return convolve


@functools.cache
def engine() -> Engine | None:
    """The faster of the engines that are exact on this machine, or None. Measured once."""
    timed = [
        (seconds, candidate) for candidate in (int8, float32) if (seconds := _try(candidate)) is not None
    ]
    return min(timed, key=lambda entry: entry[0])[1] if timed else None


def _try(candidate: Engine) -> float | None:
    """Seconds for one convolution whose sums come close to 2^24 on both sides; None where it cannot or is
    wrong.
    """
    g = LinearShape(56, 18, 18, 32, (3, 3))
    rng = np.random.default_rng(0)
    weight = rng.integers(-128, 128, g.weight_shape)
    weight[0], weight[1], weight[2::2] = 127, -128, np.where(weight[2::2] > 0, 127, -128)
    digits = torch.from_numpy(rng.integers(0, 256, (16, 18, 18, 56), dtype=np.uint8))
    digits[:8] = 255
    expected = torch.nn.functional.conv2d(
        digits.permute(0, 3, 1, 2).double(), torch.from_numpy(weight.astype(np.float64))
    )
    try:
        with torch.inference_mode():
            convolve = candidate(g, weight)
            if not torch.equal(convolve(digits).double().permute(0, 3, 1, 2), expected):
                return None
            seconds = []
            for _ in range(3):
                start = time.perf_counter()
                convolve(digits)
                seconds.append(time.perf_counter() - start)
    except (
        AttributeError,
        NotImplementedError,
        RuntimeError,
        TypeError,
    ):  # built without it, or another signature
        return None
    return min(seconds)
