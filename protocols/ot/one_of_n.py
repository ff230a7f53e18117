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

from ..errors import ParameterError
from ..hash import tccr
from .cots import Bits, Blocks, ReceivedCots, SentCots

__all__ = ["index_choices", "recv_one_of_n", "send_one_of_n", "word_type"]

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
    masks = [_positions(i, n).view(word) for i in range(n)]
    out = np.empty((words, count, per_entry), word)
    for start in range(0, count, _CHUNK):
        stop = min(start + _CHUNK, count)
        total = np.zeros((stop - start, words, per_entry), word)
        for i, mask in enumerate(masks):
            keys = cots.part(i * count + start, i * count + stop)
            zero = _expand(keys.K, keys.tweak, word, total.shape)
            one = _expand(keys.K ^ keys.delta, keys.tweak, word, total.shape)
            one ^= zero
            one &= mask
            total ^= zero
            total ^= one
        out[:, start:stop] = total.transpose(1, 0, 2)
    return out & word.type(0x0F) if n == 2 else out


def recv_one_of_n(cots: ReceivedCots, index: NDArray[np.unsignedinteger], n: int, words: int) -> Bits:
    """R_t for the index t, (count,), that gave the choices (`index_choices`): uint8 bits, (words, count)."""
    word, per_entry = word_type(n)
    count = _count(len(cots), n, words)
    if not np.array_equal(index_choices(index, n), cots.choices):
        raise ParameterError("the COTs were not made with the choice bits of this index")
    index = index.reshape(-1).astype(np.intp)
    size = 8 * word.itemsize
    out = np.empty((words, count), np.uint8)
    for start in range(0, count, _CHUNK):
        stop = min(start + _CHUNK, count)
        total = np.zeros((stop - start, words, per_entry), word)
        for i in range(n):
            keys = cots.part(i * count + start, i * count + stop)
            total ^= _expand(keys.M, keys.tweak, word, total.shape)
        t = index[start:stop]
        chosen = total[np.arange(t.size), :, t // size]
        out[:, start:stop] = ((chosen >> (t % size).astype(word)[:, None]) & word.type(1)).T
    return out


def _count(cots: int, n: int, words: int) -> int:
    if words < 1 or cots % n:
        raise ParameterError(f"{cots} COTs do not make 1-of-2^{n} OTs of {words} bits")
    return cots // n


def _positions(i: int, n: int) -> NDArray[np.uint8]:
    """The 2^n bits whose bit j is bit i of j, as bytes."""
    bits = (np.arange(max(1 << n, 8), dtype=np.uint16) >> i & 1).astype(np.uint8)
    return np.packbits(bits, bitorder="little")


def _expand(keys: Blocks, tweak: int, word: np.dtype[Any], shape: tuple[int, ...]) -> Words:
    """F of each key: (count, J, W) words from as few blocks as hold them."""
    count, words, per_entry = shape
    blocks = -(-words * per_entry * word.itemsize // 16)
    stream = np.empty((count, blocks, 2), np.uint64)
    for b in range(blocks):
        stream[:, b] = tccr(keys, tweak + (b + 1) * _TWEAK_BLOCK)
    return stream.reshape(count, -1).view(word)[:, : words * per_entry].reshape(shape)
