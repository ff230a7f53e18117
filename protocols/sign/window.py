"""The window sign test: exact on large values, stochastic next to zero (design.md 5.1). Local.

For x = x_c + x_s mod 2^32, a public gain g >= 1 (one per channel), N = 2^n cells of width W = 2^32 / N, of
which P are positive:

    sender     a = floor((g x_s mod 2^32) / W)
    receiver   t = floor((g x_c + delta mod 2^32) / W),   delta = 0 (poszero), W-1 (negpass), W/2 (balanced)
    DReLU~(x) = 1  iff  a + t mod N < P

Why. Let s = g x + delta. The low 32-n bits of the two summands of s add up to (s mod W) or to (s mod W) + W;
the second case is a carry that a + t does not see, so a + t = floor(s / W) - carry mod N. The window holds
the x with

    -(N-P-1) W  <=  s  <  P W

There P - N + 1 <= floor(s / W) < P, so a lost carry changes the result only where floor(s / W) = 0, that is
0 <= s < W; everywhere else DReLU~ is the sign of s, and that of x. Let 2^e be the largest power of two that
divides g. The share's low part L = g x_s mod W is uniform on the multiples of 2^e below W, and there is no
carry iff L <= s. So for 0 <= s < W, exactly,

    P[DReLU~(x) = 1] = min(1, 2^e (floor(s / 2^e) + 1) / W),        (s + 1) / W for an odd gain.

Faults against [x >= 0] lie on 0 <= g x < W (poszero), on -W < g x < 0 (negpass), or on half as much of both
sides (balanced, where they cancel: no bias).

P = N/2 is design.md 5.1, whose sign is bit n-1 of a + t. Another P moves the window to where the values are:
[-9, 3] then takes as many cells as [-6, 6]. For an activation with J knots it also spares the cells that no
x - knot_j reaches. The receiver has no use for P, so a table of another pattern costs nothing.

Windows (m, k) of design.md 5.1, n = m - k, are the gains g = 2^(32-m). (2^(32-m) x_s mod 2^32) has x_s mod
2^m at its top, so the same a comes out; so does t, since 2^(32-m) delta_k is delta, but for negpass, where it
is W - 2^(32-m), and adding either to a multiple of 2^(32-m) crosses the same multiples of W. A gain that is
no power of two fills a range that m would round up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError

__all__ = ["MAX_BITS", "MIN_BITS", "MODES", "Window", "drelu", "fault_probability", "positive_probability"]

MODES = ("poszero", "negpass", "balanced")
MIN_BITS, MAX_BITS = 2, 16  # a table has at most 8, a garbled comparator any


@dataclass(frozen=True)
class Window:
    """n bits, one gain per channel (or a single one for all), and the fault mode. Public.

    positive: for every knot, and there for every gain, the number P of positive cells; empty for half of
    them throughout. Raises ParameterError for n outside [2, 16], a gain outside [1, 2^31), an unknown mode,
    P outside [1, 2^n).
    """

    bits: int = 6
    gain: tuple[int, ...] = (1,)
    mode: str = "balanced"
    positive: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise ParameterError(f"a window has {MIN_BITS} to {MAX_BITS} bits, not {self.bits}")
        if not self.gain:
            raise ParameterError("a window needs at least one gain")
        for gain in self.gain:
            if not 1 <= gain < 1 << 31:
                raise ParameterError(f"gain {gain} is outside [1, 2^31)")
        if self.mode not in MODES:
            raise ParameterError(f"unknown fault mode {self.mode!r}; modes: {', '.join(MODES)}")
        for row in self.positive:
            if len(row) != len(self.gain):
                raise ParameterError(f"{len(row)} numbers of positive cells for {len(self.gain)} gains")
            if not 0 < min(row) <= max(row) < 1 << self.bits:
                raise ParameterError(f"of {1 << self.bits} cells 1 to {(1 << self.bits) - 1} are positive")

    @property
    def width(self) -> int:
        """W: the values of g x + delta in [0, W) are decided by chance."""
        return 1 << (32 - self.bits)

    @property
    def delta(self) -> int:
        """What the receiver adds to its scaled share."""
        return {"poszero": 0, "negpass": self.width - 1, "balanced": self.width // 2}[self.mode]

    def cells(self, knot: int = 0) -> NDArray[np.uint32]:
        """P of every gain, (gains, 1), for the knot of that number."""
        if self.positive:
            return self._cells[knot][:, None]
        return np.full((len(self.gain), 1), 1 << (self.bits - 1), np.uint32)

    def reach(self, knot: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How far below and above the knot the window reaches, (gains,) each: the largest -x and x in it."""
        P, gain = self.cells(knot)[:, 0].astype(np.int64), np.array(self.gain, np.int64)
        below = ((1 << self.bits) - P - 1) * self.width + self.delta
        above = P * self.width - 1 - self.delta
        return below // gain, above // gain

    def bounds(self, knots: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The least and the largest z, (gains,) each, that the window holds at all of its knots."""
        reach = [self.reach(j) for j in range(len(knots))]
        low = np.max([knot - below for knot, (below, _) in zip(knots, reach, strict=True)], axis=0)
        high = np.min([knot + above for knot, (_, above) in zip(knots, reach, strict=True)], axis=0)
        return low, high

    def index_s(self, x_s: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Sender: a in [0, 2^n), from shares of shape (batch, channels, positions)."""
        a = np.multiply(x_s, self._factors(x_s.shape), dtype=np.uint32)
        a >>= np.uint32(32 - self.bits)
        return a

    def index_c(self, x_c: NDArray[np.uint32]) -> NDArray[np.unsignedinteger[Any]]:
        """Receiver: t in [0, 2^n), uint8 or for n > 8 uint16, from shares (batch, channels, positions)."""
        t = np.multiply(x_c, self._factors(x_c.shape), dtype=np.uint32)
        t += np.uint32(self.delta)
        t >>= np.uint32(32 - self.bits)
        return t.astype(np.uint8 if self.bits <= 8 else np.uint16)

    def _factors(self, shape: Sequence[int]) -> NDArray[np.uint32]:
        if len(shape) != 3 or len(self.gain) not in (1, shape[1]):
            raise ParameterError(
                f"{len(self.gain)} gains, one a channel, for shares of shape {tuple(shape)}, "
                f"which should be (batch, channels, positions)"
            )
        return self._gains

    @cached_property
    def _gains(self) -> NDArray[np.uint32]:
        return np.array(self.gain, np.uint32)[:, None]  # kept: a layer may have one for every element

    @cached_property
    def _cells(self) -> tuple[NDArray[np.uint32], ...]:
        return tuple(np.array(row, np.uint32) for row in self.positive)


def drelu(
    a: NDArray[np.unsignedinteger], t: NDArray[np.unsignedinteger], bits: int, positive: ArrayLike
) -> NDArray[np.uint8]:
    """1 where a + t mod 2^n is below `positive`, the number of positive cells."""
    total = a.astype(np.uint32) + t
    total &= np.uint32((1 << bits) - 1)
    return (total < np.asarray(positive, np.uint32)).view(np.uint8)


def positive_probability(x: ArrayLike, gain: int, bits: int, mode: str) -> NDArray[np.float64]:
    """P[DReLU~(x) = 1] over uniform shares, for signed integers x within the window's limit."""
    window = Window(bits, (gain,), mode)
    s = np.asarray(x, np.int64) * gain + window.delta
    step = gain & -gain
    probability = (s // step + 1) * step / window.width
    return np.clip(probability, 0.0, 1.0)  # s >= W: always one; s < 0: always zero


def fault_probability(x: ArrayLike, gain: int, bits: int, mode: str) -> NDArray[np.float64]:
    """P[DReLU~(x) != [x >= 0]] over uniform shares, for signed integers x within the window's limit."""
    positive = positive_probability(x, gain, bits, mode)
    return np.where(np.asarray(x) >= 0, 1.0 - positive, positive)
