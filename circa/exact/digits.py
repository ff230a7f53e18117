"""Residues and weights in base 256: a residue has digits 0..255, a weight has signed digits -128..127."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["EXACT", "digit_planes", "from_channels_last", "split_weight"]

EXACT = 1 << 24  # float32 holds every integer up to here
_LARGEST = 255  # digit of a residue

Integers = NDArray[np.int64]


def digit_planes(x: NDArray[np.uint32], padding: tuple[int, int, int, int]) -> Tensor:
    """The digits of x (batch, channels, height, width), lowest first, padded with zeros: uint8, channels
    last, (P, batch, height + top + bottom, width + left + right, channels). P <= 4 is what the largest value
    needs.
    """
    batch, channels, height, width = x.shape
    top, bottom, left, right = padding
    count = max(1, -(-int(x.max(initial=0)).bit_length() // 8))
    shape = (count, batch, height + top + bottom, width + left + right, channels)
    planes = torch.zeros(shape, dtype=torch.uint8) if any(padding) else torch.empty(shape, dtype=torch.uint8)
    inside = planes.numpy()[:, :, top : top + height, left : left + width]
    flat = torch.from_numpy(np.ascontiguousarray(x).view(np.int32)).view(batch, channels, height * width)
    for b in range(batch):  # PyTorch transposes a matrix in blocks, and a batch of them element by element
        pixels = flat[b].t().contiguous().numpy().view(np.uint32).reshape(height, width, channels)
        for i in range(count):
            inside[i, b] = (pixels >> np.uint32(8 * i) if i else pixels).astype(np.uint8)
    return planes


def from_channels_last(y: Tensor) -> Tensor:
    """(batch, pixels, channels) to (batch, channels, pixels), contiguous."""
    out = y.new_empty(y.shape[0], y.shape[2], y.shape[1])
    for b in range(y.shape[0]):
        out[b].copy_(y[b].t())
    return out


def split_weight(weight: Integers) -> list[tuple[int, slice, Integers]]:
    """The parts (digit, channels, values) whose sum of 256^digit * values is the weight (out, in, kh, kw).

    A part is zero outside its input channels, and for every output 255 * sum |values| < 2^24: the sum of its
    products with digits, in any order, is exact in float32.
    """
    parts = []
    for digit, values in enumerate(_signed_digits(weight)):
        norms = np.abs(values).sum(axis=(2, 3))  # (out, in)
        start = 0
        while start < norms.shape[1]:
            reach = np.cumsum(norms[:, start:], axis=1).max(axis=0) * _LARGEST < EXACT
            stop = start + max(1, int(reach.sum()))
            parts.append((digit, slice(start, stop), values[:, start:stop]))
            start = stop
    return parts


def _signed_digits(weight: Integers) -> list[Integers]:
    digits, rest = [], weight
    while True:
        digit = (rest + 128) % 256 - 128
        digits.append(digit)
        rest = (rest - digit) // 256
        if not rest.any():
            return digits
