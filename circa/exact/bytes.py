"""W x modulo M by convolutions of 8-bit digits with 8-bit weights, summed in 32-bit integers.

    x = sum_i 256^i x_i,  W = sum_parts 256^j W_part        W x = sum_parts 256^j (sum_i 256^i (W_part * x_i))

oneDNN's quantised convolution does the inner ones, on processors with 8-bit multiply-and-add instructions
(VNNI, AMX) four times as fast as floating point. It returns float32: the parts are such that no sum reaches
2^24 (digits.py). Modulo 2^32 only i + j < 4 counts, and 32-bit words may wrap; modulo the prime everything
counts, in float64.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import Modulus

from .digits import digit_planes, from_channels_last, split_weight
from .doubles import Apply, reduce

__all__ = ["available", "by_bytes"]

MAX_PARTS = 3  # with more, float64 is faster
Residues = NDArray[np.uint32]
Integers = NDArray[np.int64]
Convolution = Callable[[Tensor], Tensor]
"""uint8 digits (n, height, width, channels) to float32 sums (n, out height, out width, out channels)."""


def by_bytes(g: LinearShape, weight: Integers, modulus: Modulus) -> Apply | None:
    """None where the machine or the weights do not allow it, or where it would not be faster."""
    parts = split_weight(weight)
    split_channels = any(channels != slice(0, weight.shape[1]) for _, channels, _ in parts)
    if len(parts) > MAX_PARTS or (split_channels and g.groups > 1) or not available():
        return None
    if g.out_width == 1 and any(values.shape[1] == 1 for _, _, values in parts):
        return None  # oneDNN in torch 2.13 gives wrong sums there when the stride is (1, 2) or (1, 3)
    top, bottom, left, right = g.padding
    symmetric = top == bottom and left == right  # then the library pads, otherwise the digits are padded
    inner, around = ((top, left), (0, 0, 0, 0)) if symmetric else ((0, 0), g.padding)
    convolutions = [(digit, channels, _convolution(g, values, inner)) for digit, channels, values in parts]

    def apply(x: Residues) -> Residues:
        planes = digit_planes(x, around)
        total: Tensor | None = None
        for digit, channels, convolve in convolutions:
            used = planes[: 4 - digit] if modulus.is_ring else planes
            if split_channels:
                used = used[..., channels].contiguous()
            sums = convolve(used.flatten(0, 1)).view(len(used), x.shape[0], -1, g.out_channels)
            term = _horner(sums, modulus)
            total = term if total is None else total.add_(term, alpha=1 << 8 * digit)
        assert total is not None
        if len(convolutions) > 1 and not modulus.is_ring:
            total = reduce(total, modulus)
        return from_channels_last(total.to(torch.int32)).numpy().view(np.uint32)

    return apply


def _horner(sums: Tensor, modulus: Modulus) -> Tensor:
    """sum_i 256^i sums[i] modulo M, in wrapping 32-bit words or (below 2^49 until reduced) in float64."""
    *lower, total = sums.to(torch.int32 if modulus.is_ring else torch.float64).unbind()
    for digit in reversed(lower):
        total = digit.add_(total, alpha=256)
    return total if modulus.is_ring else reduce(total, modulus)


def _convolution(g: LinearShape, weight: Integers, padding: tuple[int, int]) -> Convolution:
    """For weights in -128..127; `padding` (vertical, horizontal) stands in for the geometry's."""
    ones, zeros = torch.ones(len(weight)), torch.zeros(len(weight), dtype=torch.int32)
    stride, around, dilation = list(g.stride), list(padding), list(g.dilation)
    ops: Any = torch.ops.onednn
    kernel = torch.from_numpy(weight.astype(np.int8))
    packed = ops.qconv_prepack(kernel, ones, 1.0, 0, stride, around, dilation, g.groups, None)

    def convolve(digits: Tensor) -> Tensor:
        sums: Tensor = ops.qconv2d_pointwise(
            *(digits.permute(0, 3, 1, 2), 1.0, 0, packed, ones, zeros, None),
            *(stride, around, dilation, g.groups, 1.0, 0, torch.float32, "none", [], ""),
        )
        return sums.permute(0, 2, 3, 1).contiguous()

    return convolve


@functools.cache
def available() -> bool:
    """Whether the library has the operation and the machine does it exactly: processors without the
    instructions add pairs of products in 16 bits, and saturate. Tried once, on sums close to 2^24 of either
    sign.
    """
    g = LinearShape(56, 12, 12, 32, (3, 3))
    rng = np.random.default_rng(0)
    weight = rng.choice(np.array([-128, 127]), g.weight_shape)
    weight[0], weight[1] = 127, -128
    digits = torch.from_numpy(rng.integers(0, 256, (4, 12, 12, 56), dtype=np.uint8))
    digits[:2] = 255
    expected = torch.nn.functional.conv2d(
        digits.permute(0, 3, 1, 2).double(), torch.from_numpy(weight.astype(np.float64))
    )
    try:
        with torch.inference_mode():
            sums = _convolution(g, weight, (0, 0))(digits)
    except (
        AttributeError,
        NotImplementedError,
        RuntimeError,
        TypeError,
    ):  # built without it, or another signature
        return False
    return torch.equal(sums.permute(0, 3, 1, 2).double(), expected)
