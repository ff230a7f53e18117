"""The window sign test by 1-of-N random OT: a shared bit for one message (design.md 5.2).

Semi-honest. N = 2^n; the shares give the indices a and t of window.py; J knots have indices a_j, numbers of
positive cells P_j and one common t.

            sender: a_j, b_j random bits            receiver: t
 offline    R_j[i] for all i < N                    R_j[t]                          1-of-N random OT of J bits
            E'_j[i] = R_j[i] ^ b_j
 (1)        E_j[i] = [a_j + i mod N < P_j] ^ E'_j[i]   →
 output     b_j                                     v_j = E_j[t] ^ R_j[t];   v_j ^ b_j = DReLU~(x_j)

N bits a sign test. A row i of E_j but for t is masked by R_j[i], pseudorandom to the receiver
(one_of_n.py); row t gives DReLU~ ^ b_j, and b_j is uniform. The pattern of a_j is P_j ones, rotated: a table
of N words for every P holds them all, and nothing but look-up and XOR happens online.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ot import OtPair
from ..ot.one_of_n import index_choices, recv_one_of_n, send_one_of_n, word_type
from ..ot.softspoken import extension_bytes
from ..steps import Steps
from .window import Window, drelu

__all__ = [
    "SignReceiver",
    "SignSender",
    "decrypt",
    "encrypt",
    "offline_bytes",
    "pattern_rows",
    "patterns",
    "prepare_receiver",
    "prepare_sender",
]

Bits = NDArray[np.uint8]
Words = NDArray[Any]  # (count, W) of word_type(n): bit i of the N is row i of a table


@dataclass(frozen=True)
class SignSender:
    """E'_j for each j."""

    tables: tuple[Words, ...]


@dataclass(frozen=True)
class SignReceiver:
    """t, and R_j[t] for each j: uint8."""

    index: NDArray[np.uint8]
    masks: tuple[Bits, ...]


@cache
def patterns(n: int) -> Words:
    """Word N P + a for P < N, shape (N N, W): bit i is [a + i mod N < P]."""
    word, _ = word_type(n)
    i = np.arange(1 << n, dtype=np.uint32)
    rotated = [np.packbits(drelu(i[:, None], i, n, P), axis=1, bitorder="little") for P in i]
    words = np.concatenate(rotated).view(word)
    words.setflags(write=False)  # the cache hands out this very array
    return words


def pattern_rows(window: Window, x_s: NDArray[np.uint32], knot: int) -> NDArray[np.uint32]:
    """Sender: N P + a, (count,), from the shares of x - knot, (batch, channels, positions)."""
    rows = window.index_s(x_s)
    rows += window.cells(knot) << np.uint32(window.bits)
    return rows.reshape(-1)


def prepare_sender(ot: OtPair, n: int, b: Bits) -> Steps[SignSender]:
    """The sender's material for its bits b_j, uint8 (J, count)."""
    J, count = b.shape
    yield  # nothing in step 0
    tables = send_one_of_n(ot.sender.extend(n * count), n, J)
    word, _ = word_type(n)
    tables ^= b[:, :, None] * word.type((1 << min(1 << n, 64)) - 1)  # all N bits
    return SignSender(tuple(tables))


def prepare_receiver(ot: OtPair, n: int, t: NDArray[np.uint8], terms: int) -> Steps[SignReceiver]:
    """The receiver's material for its indices, (count,), and `terms` knots."""
    yield  # nothing in step 0
    cots = ot.receiver.extend(index_choices(t, n))
    return SignReceiver(t, tuple(recv_one_of_n(cots, t, n, terms)))


def offline_bytes(n: int, count: int, ot_k: int) -> int:
    """From the receiver; the sender sends nothing. The same for any number of knots."""
    return extension_bytes(n * count, ot_k)


def encrypt(n: int, rows: NDArray[np.unsignedinteger[Any]], table: Words) -> Words:
    """Step (1): E_j from the sender's `pattern_rows` and E'_j."""
    E: Words = np.take(patterns(n), rows, axis=0, mode="clip")  # all below N N: clip only spares the check
    E ^= table
    return E


def decrypt(n: int, E: Words, t: NDArray[np.uint8], mask: Bits) -> Bits:
    """Output: v_j from E_j and the receiver's indices and R_j[t]."""
    word, per_entry = word_type(n)
    if per_entry > 1:
        E = np.take_along_axis(
            E.reshape(t.size, per_entry), (t >> np.uint8(6)).astype(np.intp)[:, None], axis=1
        )
        t = t & np.uint8(63)
    v: Bits = (E.reshape(-1) >> t.astype(word)).astype(np.uint8)
    v ^= mask
    v &= np.uint8(1)
    return v
