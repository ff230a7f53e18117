"""Random 1-of-2^n OT of short entries, n COTs an element, no message at all, semi-honest.

[NP99] Naor, Pinkas. Oblivious Transfer and Polynomial Evaluation. STOC 1999: 1-of-N from log N keys.

            sender: K_i, Δ for i < n                receiver: index t = sum t_i 2^i, M_i = K_i ⊕ t_i·Δ
 output     R_j = XOR_i F(K_i ⊕ j_i·Δ)[j]           R_t = XOR_i F(M_i)[t]
            for every j < N = 2^n

F(K)[j] is entry j of J bits: bit (w, j) of F is word w of the entry. For j ≠ t some bit j_i differs from
t_i, and entry j of F(K_i ⊕ j_i·Δ) is used nowhere else, so R_j is pseudorandom to the receiver.

F is the hash H in as many blocks as J·N bits take: COT c has tweak c + (b + 1) 2^48 for block b (cots.py),
so no tweak meets two inputs. For n = 2 a word of four bits takes eight. The positions of one word w fill a
machine word, or N / 64 of them: the sum over i is a selection by the constant masks whose bit j is j_i, and
no bit is ever unpacked.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..errors import ParameterError
from ..hash import tccr
from .cots import Bits, Blocks, ReceivedCots, SentCots

__all__ = [
    "index_choices",
    "receiver_sums",
    "receiver_sums_numpy",
    "recv_one_of_n",
    "send_one_of_n",
    "sender_sums",
    "sender_sums_numpy",
    "word_type",
]

Words = NDArray[Any]  # (J, count, W): uint8 (n <= 3), uint16, uint32, uint64; bit j of a word is entry j

_CHUNK = 1 << 13  # elements at a time: keys and sums stay in the cache
_TWEAK_BLOCK = 1 << 48


def word_type(n: int) -> tuple[np.dtype[Any], int]:
    """The machine word that holds 2^n positions, and how many of it (1 up to n = 6)."""
    if not 2 <= n <= 8:
        raise ParameterError(f"an index has 2 to 8 bits, not {n}")
    return np.dtype(f"u{min(max(1 << n >> 3, 1), 8)}"), max(1 << n >> 6, 1)


def index_choices(index: NDArray[np.unsignedinteger], n: int) -> Bits:
    """The choice bits of `recv_one_of_n`: bit i of every index, then bit i + 1; flat, uint8 (n * count,)."""
    if not 2 <= n <= 8 or np.any(index >> n):
        raise ParameterError(f"an index has {n} bits, at least 2 and at most 8")
    return ((index.reshape(-1) >> np.arange(n, dtype=index.dtype)[:, None]) & 1).astype(np.uint8).reshape(-1)


def send_one_of_n(cots: SentCots, n: int, words: int) -> Words:
    """R from n * count COTs, ordered [bit i][element]: (words, count, W), position j at bit j. words is J."""
    word, per_entry = word_type(n)
    count = _count(len(cots), n, words)
    out = np.empty((words, count, per_entry), word)
    for start in range(0, count, _CHUNK):
        total = np.empty((_blocks(n, words), min(_CHUNK, count - start), 2), np.uint64)
        sender_sums(cots, n, start, total)
        out[:, start : start + _CHUNK] = _entries(total, n, words).transpose(1, 0, 2)
    return out & word.type(0x0F) if n == 2 else out


def recv_one_of_n(cots: ReceivedCots, index: NDArray[np.unsignedinteger], n: int, words: int) -> Bits:
    """R_t for the index t, (count,), that gave the choices (`index_choices`): uint8 bits, (words, count)."""
    word, _ = word_type(n)
    count = _count(len(cots), n, words)
    if not np.array_equal(index_choices(index, n), cots.choices):
        raise ParameterError("the COTs were not made with the choice bits of this index")
    index = index.reshape(-1).astype(np.intp)
    size = 8 * word.itemsize
    out = np.empty((words, count), np.uint8)
    for start in range(0, count, _CHUNK):
        t = index[start : start + _CHUNK]
        total = np.empty((_blocks(n, words), t.size, 2), np.uint64)
        receiver_sums(cots, n, start, total)
        chosen = _entries(total, n, words)[np.arange(t.size), :, t // size]
        out[:, start : start + _CHUNK] = ((chosen >> (t % size).astype(word)[:, None]) & word.type(1)).T
    return out


def sender_sums(cots: SentCots, n: int, first: int, total: Blocks) -> None:
    """Writes XOR_i F(K_i ^ j_i Delta), all positions j, of the elements from `first` on: (blocks, elements,
    2). The first and last block of a word of 256 positions take turns.
    """
    fast = kernels.native()
    if fast is None:
        sender_sums_numpy(cots, n, first, total)
    else:
        fast.one_of_n_send(np.ascontiguousarray(cots.K), cots.delta, cots.tweak, n, first, total)


def sender_sums_numpy(cots: SentCots, n: int, first: int, total: Blocks) -> None:
    """`sender_sums` in NumPy: the definition."""
    count, elements = len(cots) // n, total.shape[1]
    total[:] = 0
    for i in range(n):
        keys = cots.part(i * count + first, i * count + first + elements)
        mask = _positions(i, n)
        flipped = keys.K ^ keys.delta
        for b, block in enumerate(total):
            tweak = keys.tweak + (b + 1) * _TWEAK_BLOCK
            zero, one = tccr(keys.K, tweak), tccr(flipped, tweak)
            one ^= zero
            one &= mask[b % len(mask), :elements]
            block ^= zero
            block ^= one


def receiver_sums(cots: ReceivedCots, n: int, first: int, total: Blocks) -> None:
    """Writes XOR_i F(M_i) of the elements from `first` on, (blocks, elements, 2)."""
    fast = kernels.native()
    if fast is None:
        receiver_sums_numpy(cots, n, first, total)
    else:
        fast.one_of_n_recv(np.ascontiguousarray(cots.M), cots.tweak, n, first, total)


def receiver_sums_numpy(cots: ReceivedCots, n: int, first: int, total: Blocks) -> None:
    """`receiver_sums` in NumPy: the definition."""
    count, elements = len(cots) // n, total.shape[1]
    total[:] = 0
    for i in range(n):
        keys = cots.part(i * count + first, i * count + first + elements)
        for b, block in enumerate(total):
            block ^= tccr(keys.M, keys.tweak + (b + 1) * _TWEAK_BLOCK)


def _count(cots: int, n: int, words: int) -> int:
    if words < 1 or cots % n:
        raise ParameterError(f"{cots} COTs do not make 1-of-2^{n} OTs of {words} bits")
    return cots // n


def _blocks(n: int, words: int) -> int:
    """Blocks of F that hold an entry."""
    return -(-words * max(1 << n, 8) // 128)


def _positions(i: int, n: int) -> Words:
    """Bit i of the position of each bit of F: uint64 (1, or 2 for n = 8; _CHUNK, 2).

    The same for every element, but written out: NumPy is slow where it has to repeat a row of two words.
    """
    bits = (np.arange(max(1 << n, 128)) >> i & 1).astype(np.uint8)
    rows = np.packbits(bits, bitorder="little").view(np.uint64).reshape(-1, 1, 2)
    return np.repeat(rows, _CHUNK, axis=1)


def _entries(total: Words, n: int, words: int) -> Words:
    """The blocks (b, count, 2) of each element as its entries, (count, J, W) machine words."""
    word, per_entry = word_type(n)
    stream = np.ascontiguousarray(total.transpose(1, 0, 2)).reshape(total.shape[1], -1).view(word)
    return stream[:, : words * per_entry].reshape(-1, words, per_entry)
