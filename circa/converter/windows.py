"""The sign test of every activation: a gain per channel that lets its range fill the window."""

import math

import torch
from torch import Tensor

from circa.protocols.sign.window import Window

__all__ = ["FLOOR", "choose_window"]

FLOOR = 1 / 16  # of the layer's range: what a channel without a range of its own is taken to have
MAX_GAIN = (1 << 31) - 1


def choose_window(
    spread: Tensor, frac_bits: int, bits: int, mode: str, margin: float, per_channel: bool
) -> Window:
    """spread: per channel the largest distance of a pre-activation from a knot, on the calibration batch.

    |g z| stays below 2^31 - 2^(32-n) for every |z| up to margin * spread. A channel that is dead or nearly
    so may come to life on other inputs; it gets the gain of FLOOR times the layer's range.
    """
    layer = spread.max()
    ranges = torch.maximum(spread, layer * FLOOR) if per_channel else layer.reshape(1)
    room = (1 << 31) - (1 << (32 - bits)) - 1
    largest = (ranges * margin * 2.0**frac_bits).tolist()
    return Window(bits, tuple(min(MAX_GAIN, max(1, math.floor(room / max(x, 1.0)))) for x in largest), mode)
