"""W x + bias modulo M by float64 convolutions, exact for all weights of 16 bits, on any machine.

Every product and every partial sum is an integer up to 2^52, which float64 holds exactly, in whatever order
the library adds (PyTorch has no float64 convolution by a transform). With residues as they are, below 2^32,
that allows rows of weights of 1-norm up to 2^20; beyond, x is split into two limbs of 16 bits.
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circa.errors import ParameterError
from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import Modulus

__all__ = ["Apply", "by_doubles", "reduce"]

Residues = NDArray[np.uint32]
Apply = Callable[[Residues], Residues]
"""uint32 (batch, channels, height, width) to uint32 (batch, out channels, out pixels)."""

LARGEST = 1 << 52


def by_doubles(g: LinearShape, weight: NDArray[np.int64], bias: Residues | None, modulus: Modulus) -> Apply:
    """Raises ParameterError where the weights are so many and large that limbs of 16 bits would round."""
    norm = int(np.abs(weight).sum(axis=(1, 2, 3)).max())
    if norm << 16 > LARGEST:
        raise ParameterError(f"a row of weights has 1-norm {norm}, at most {LARGEST >> 16} is exact")
    whole = norm << 32 <= LARGEST
    kernel = torch.from_numpy(weight.astype(np.float64))
    top, bottom, left, right = g.padding

    def convolve(x: Residues) -> Tensor:
        image = torch.nn.functional.pad(torch.from_numpy(x.astype(np.float64)), (left, right, top, bottom))
        if g.groups == g.in_channels > 1:
            sums = depthwise(g, image, kernel)
        else:
            sums = torch.nn.functional.conv2d(image, kernel, None, g.stride, 0, g.dilation, g.groups)
        return reduce(sums.view(x.shape[0], g.out_channels, -1), modulus)

    def product(x: Residues) -> Tensor:
        if whole:
            return convolve(x)
        high, low = convolve(x >> np.uint32(16)), convolve(x & np.uint32(0xFFFF))
        return reduce(high.mul_(1 << 16).add_(low), modulus)

    def apply(x: Residues) -> Residues:
        with torch.inference_mode():
            y = product(x).numpy().astype(np.uint32)
        return y if bias is None else modulus.add(y, bias[:, None])

    return apply


def depthwise(g: LinearShape, image: Tensor, kernel: Tensor) -> Tensor:
    """One input channel a group, tap by tap: PyTorch's float64 convolution is slow at that."""
    image = image.repeat_interleave(g.out_channels // g.groups, 1) if g.out_channels > g.groups else image
    total = image.new_zeros(image.shape[0], *g.output_shape)
    for i, j in itertools.product(*map(range, g.kernel)):
        top, left = i * g.dilation[0], j * g.dilation[1]
        rows = slice(top, top + (g.out_height - 1) * g.stride[0] + 1, g.stride[0])
        columns = slice(left, left + (g.out_width - 1) * g.stride[1] + 1, g.stride[1])
        total.addcmul_(image[:, :, rows, columns], kernel[:, :, i, j, None])
    return total


def reduce(total: Tensor, modulus: Modulus) -> Tensor:
    """Integers in float64, |t| <= 2^52, to [0, M), in place.

    Rounding moves the quotient t / M by less than 2^-53 |t| / M < 1 / M, and so not up to an integer that t /
    M has not reached: its floor is right.
    """
    return total.sub_(total.div(modulus.value).floor_(), alpha=modulus.value)
