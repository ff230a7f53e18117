"""The sign test of every activation: a gain per channel that lets its range fill the window."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circa.protocols.sign.window import Window

__all__ = ["FLOOR", "choose_window", "fill", "limits"]

FLOOR = 1 / 16  # of the layer's range: what a channel without a range of its own is taken to have
MAX_GAIN = (1 << 31) - 1


def choose_window(
    spread: Tensor, frac_bits: int, bits: int, mode: str, margin: float, per_channel: bool
) -> Window:
    """The window of n bits for the calibrated ranges."""
    return fill(limits(spread, frac_bits, margin, per_channel), bits, mode)


def limits(spread: Tensor, frac_bits: int, margin: float, per_channel: bool) -> NDArray[np.int64]:
    """What the window has to hold, margin included: |z - knot|, int64 (channels,), or (1,) for the layer.

    spread: per channel the largest distance of a pre-activation from a knot, on the calibration batch. A
    channel that is dead or nearly so may come to life on other inputs; it gets FLOOR times the layer's range.
    """
    layer = spread.max()
    ranges = torch.maximum(spread, layer * FLOOR) if per_channel else layer.reshape(1)
    largest = (ranges * margin * 2.0**frac_bits).tolist()
    return np.array([max(1, math.ceil(x)) for x in largest], np.int64)


def fill(ranges: NDArray[np.int64], bits: int, mode: str) -> Window:
    """The window of n bits with the largest gains for which |g z| < 2^31 - 2^(32-n) on |z| <= ranges."""
    room = (1 << 31) - (1 << (32 - bits)) - 1
    return Window(bits, tuple(min(MAX_GAIN, max(1, room // int(x))) for x in ranges), mode)
