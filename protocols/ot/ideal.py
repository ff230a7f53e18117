"""The ideal COT functionality: a trusted third party, for tests of what is built on COT. No security at all.

It hands out both ends at once and uses no channel, so it cannot join two processes: whoever holds it is not
private.

            sender                     functionality                      receiver
            Δ, K_j  ←                  Δ, K_j uniform           →  M_j = K_j ⊕ r_j·Δ,  for its r_j

Nothing crosses the wire, so a transcript over it shows the messages of the protocol above alone.
"""

import queue

import numpy as np

from ..errors import FramingError, ParameterError, PeerGone
from ..prg import Prg
from .cots import Bits, Blocks, OtPair, ReceivedCots, SentCots

__all__ = ["IdealReceiver", "IdealSender", "ideal_pair"]

TIMEOUT = 20.0  # seconds that a sender waits for its receiver's choices


def ideal_pair(prg: Prg) -> tuple[OtPair, OtPair]:
    """The two parties' ends, with both directions between them. For tests only."""
    left, right = _ideal_cot(prg.fork()), _ideal_cot(prg.fork())
    return OtPair(left[0], right[1]), OtPair(right[0], left[1])


def _ideal_cot(prg: Prg) -> "tuple[IdealSender, IdealReceiver]":
    delta = prg.blocks(1)[0]
    delta[0] |= np.uint64(1)
    dealt: queue.Queue[Blocks] = queue.Queue()
    return IdealSender(delta, dealt), IdealReceiver(delta, prg, dealt)


class IdealReceiver:
    """Plays the functionality as well: draws K when the choices come, and passes it to the sender's end."""

    def __init__(self, delta: Blocks, prg: Prg, dealt: "queue.Queue[Blocks]"):
        self._delta, self._prg, self._dealt, self._tweak = delta, prg, dealt, 0

    def extend(self, choices: Bits) -> ReceivedCots:
        if choices.dtype != np.uint8 or choices.ndim != 1 or np.any(choices > 1):
            raise ParameterError("the choices of a COT are a flat uint8 array of zeros and ones")
        K = self._prg.blocks(choices.size)
        self._dealt.put(K)
        self._tweak += choices.size
        return ReceivedCots(K ^ choices[:, None] * self._delta, choices, self._tweak - choices.size)


class IdealSender:
    def __init__(self, delta: Blocks, dealt: "queue.Queue[Blocks]"):
        self.delta = delta
        self._dealt, self._tweak = dealt, 0

    def extend(self, n: int) -> SentCots:
        try:
            K = self._dealt.get(timeout=TIMEOUT)
        except queue.Empty:
            raise PeerGone(f"no choices from the ideal receiver for {TIMEOUT:g} s") from None
        if K.shape[0] != n:
            raise FramingError(f"expected {n} ideal COTs, the receiver made {K.shape[0]}")
        self._tweak += n
        return SentCots(K, self.delta, self._tweak - n)
