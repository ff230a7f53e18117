"""Correlated OT: the relation that a sender and a receiver hold, and the interface of whoever makes it.

            sender: Δ, K_j                          receiver: r_j, M_j
 relation   zero message K_j, one message K_j ⊕ Δ   M_j = K_j ⊕ r_j·Δ

Δ is one block for the sender's whole life, uniform but for its lowest bit, which is 1: a garbler uses it as
the free-XOR offset with point-and-permute. The COTs of one sender are numbered from 0 and never again; COT
j is hashed under tweaks of its own, so no tweak meets two of them:

    bits  0..47   j
    bits 48..62   0 for the pad of a COT, b + 1 for block b of an expanded one (one_of_n.py)
    bit  63       0; a garbler that uses Δ for its wires sets it, and so never meets a tweak of ours

Each COT is for one use: one pad, or one expansion, or one wire label.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..hash import tccr, tccr_pair

__all__ = ["KAPPA", "Blocks", "CotReceiver", "CotSender", "OtPair", "ReceivedCots", "SentCots"]

KAPPA = 128  # computational security, the bits of a block

Blocks = NDArray[np.uint64]  # (n, 2), low word first
Bits = NDArray[np.uint8]  # (n,), each 0 or 1


@dataclass(frozen=True)
class SentCots:
    """The sender's half: K, uint64 (n, 2); Δ, uint64 (2,); the number of the first COT."""

    K: Blocks
    delta: Blocks
    tweak: int

    def __len__(self) -> int:
        return len(self.K)

    def part(self, start: int, stop: int) -> "SentCots":
        """COTs start..stop-1, a view; the receiver takes the same ones."""
        return SentCots(self.K[start:stop], self.delta, self.tweak + start)

    def pads(self) -> tuple[Blocks, Blocks]:
        """H(K_j, j) and H(K_j ⊕ Δ, j): the two messages of n random OTs."""
        return tccr_pair(self.K, self.delta, self.tweak)


@dataclass(frozen=True)
class ReceivedCots:
    """The receiver's half: M, uint64 (n, 2), with M_j = K_j ⊕ r_j·Δ; r, uint8 (n,);
    the number of the first COT.
    """

    M: Blocks
    choices: Bits
    tweak: int

    def __len__(self) -> int:
        return len(self.M)

    def part(self, start: int, stop: int) -> "ReceivedCots":
        """COTs start..stop-1, a view; the sender takes the same ones."""
        return ReceivedCots(self.M[start:stop], self.choices[start:stop], self.tweak + start)

    def pads(self) -> Blocks:
        """H(M_j, j): the message that r_j chooses."""
        return tccr(self.M, self.tweak)


class CotSender(Protocol):
    @property
    def delta(self) -> Blocks: ...

    def extend(self, n: int) -> SentCots:
        """The next n COTs, while the peer's receiver extends with n choices; the sender sends nothing."""
        ...


class CotReceiver(Protocol):
    def extend(self, choices: Bits) -> ReceivedCots:
        """The next COTs, one for each choice bit (uint8, 0 or 1); sends, and waits for nothing."""
        ...


@dataclass(frozen=True)
class OtPair:
    """What one party holds: it can send COTs under its own Δ, and receive under the peer's."""

    sender: CotSender
    receiver: CotReceiver
