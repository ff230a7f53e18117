"""W x + bias modulo M by the native kernel, from products of 16-bit integers (protocols/native/conv.h)."""

import numpy as np
import torch
from numpy.typing import NDArray

from circa.protocols import kernels
from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import Modulus

from .doubles import Apply

__all__ = ["by_words"]

MAX_INPUTS = 1 << 24  # padded, of one image: the kernel rearranges them
MAX_NORM = 1 << 21  # of a row of weights modulo the prime: its sums reach 2^31 times that, exact in float64

Residues = NDArray[np.uint32]


def by_words(
    g: LinearShape,
    weight: NDArray[np.int64],
    bias: Residues | None,
    modulus: Modulus,
    level: str | None = None,
) -> Apply | None:
    """None where there is no native kernel, or where the layer or its weights are too large for it.

    level: one of `convolution_levels()`, by default the best. Uses as many threads as PyTorch is set to.
    """
    native = kernels.native()
    top, bottom, left, right = g.padding
    padded = (g.height + top + bottom) * (g.width + left + right) * g.in_channels
    if native is None or not native.convolution_levels() or padded > MAX_INPUTS:
        return None
    if not modulus.is_ring and int(np.abs(weight).sum(axis=(1, 2, 3)).max()) > MAX_NORM:
        return None
    layer = native.Convolution(
        np.ascontiguousarray(weight, np.int16),
        np.zeros(g.out_channels, np.uint32) if bias is None else bias,
        (g.height, g.width),
        g.stride,
        g.padding,
        g.dilation,
        g.groups,
        0 if modulus.is_ring else modulus.value,
        level or native.convolution_levels()[0],
    )

    def apply(x: Residues) -> Residues:
        y = np.empty((x.shape[0], g.out_channels, g.out_height * g.out_width), np.uint32)
        layer.apply(np.ascontiguousarray(x), y, torch.get_num_threads())
        return y

    return apply
