"""The sign test of every activation: a gain per channel that lets its range fill the window.

A range [low, high] holds the pre-activations and every knot. A table takes the range as it is: as many of its
cells are positive as the part above the knot needs (protocols/sign/window.py). Half of the cells of a garbled
comparator are, so that it needs the range from -r to r around every knot.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circa.protocols.sign.window import Window

__all__ = ["FLOOR", "channel_range", "fill", "limits", "with_margin"]

FLOOR = 1 / 16  # of the layer's range: what a channel without a range of its own is taken to have
MAX_GAIN = (1 << 31) - 1


def channel_range(z: Tensor, knots: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Per channel the least and the largest pre-activation or knot, float64, of z (batch, channels, ...)."""
    channels = z.flatten(2) if z.ndim > 2 else z.unsqueeze(2)
    low, high = channels.amin((0, 2)).double(), channels.amax((0, 2)).double()
    return low.clamp(max=min(knots)), high.clamp(min=max(knots))


def with_margin(
    low: Tensor, high: Tensor, knots: Sequence[float], margin: float, per_channel: bool
) -> tuple[Tensor, Tensor]:
    """What the window of a channel has to hold, from its range (channels,) on the calibration batch.

    With r the distance from the knots to the farther end of the range, (margin - 1) r is added at both ends.
    A channel that is dead or nearly so may come to life on other inputs: r is at least FLOOR times the
    layer's. (1,) for the layer, if not per channel.
    """
    if not per_channel:
        low, high = low.min().reshape(1), high.max().reshape(1)
    r = torch.maximum(min(knots) - low, high - max(knots))
    more = torch.maximum(r, r.max() * FLOOR) * margin - r
    return low - more, high + more


def limits(
    low: Tensor, high: Tensor, knots: Sequence[float], frac_bits: int, margin: float, per_channel: bool
) -> NDArray[np.int64]:
    """What the windows have to hold, margin included, as integers: int64 (2, channels), or (2, 1)."""
    lowest, highest = with_margin(low, high, knots, margin, per_channel)
    scale = 2.0**frac_bits
    return torch.stack([(lowest * scale).floor() - 1, (highest * scale).ceil() + 1]).long().numpy()


def fill(ranges: NDArray[np.int64], knots: Sequence[int], bits: int, mode: str, relu: str) -> Window:
    """The window of n bits with the largest gains that holds the ranges, (2, channels) or (2, 1).

    Of N cells of width W a range takes N - 2: g (high - low) <= (N - 2) W.
    """
    low, high = np.minimum(ranges[0], min(knots)), np.maximum(ranges[1], max(knots))
    width = 1 << (32 - bits)
    room = ((1 << bits) - 2) * width
    if relu != "table":
        far = np.maximum(high - min(knots), max(knots) - low)
        return Window(bits, _gains(room, 2 * far), mode)
    gain = _gains(room, high - low)
    delta = Window(bits, gain, mode).delta
    positive = (tuple(((np.array(gain) * (high - knot) + delta) // width + 1).tolist()) for knot in knots)
    return Window(bits, gain, mode, tuple(positive))


def _gains(room: int, span: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(np.clip(room // span, 1, MAX_GAIN).tolist())
