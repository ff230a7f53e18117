"""The sender's noise, from a `Prg`: ternary, centred binomial, and uniform integers wider than a word."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..prg import Prg

__all__ = ["BINOMIAL", "centred_binomial", "signed_uniform", "ternary"]

BINOMIAL = 21  # centred binomial of 2 * 21 bits: |x| <= 21, standard deviation 3.24
_LOW = 60  # bits that one word draws; the primes have at most as many
_LIMB = 12  # bits of the table look-ups above them


def ternary(prg: Prg, n: int) -> NDArray[np.int64]:
    """Uniform in {-1, 0, 1}."""
    return prg.below(3, n).astype(np.int64) - 1


def centred_binomial(prg: Prg, n: int) -> NDArray[np.int64]:
    """The difference of the weights of two strings of 21 bits."""
    draw = prg.uint64(n)
    mask = np.uint64((1 << BINOMIAL) - 1)
    ones, others = np.bitwise_count(draw & mask), np.bitwise_count((draw >> np.uint64(BINOMIAL)) & mask)
    difference: NDArray[np.int64] = ones.astype(np.int64) - others.astype(np.int64)
    return difference


def signed_uniform(prg: Prg, bits: int, n: int, primes: Sequence[int]) -> NDArray[np.uint64]:
    """Uniform integers in [-2^bits, 2^bits), bits >= 60, reduced modulo each prime: shape (primes, n).

    The integer is its low 60 bits, limbs of 12 bits above them, minus 2^bits; a table gives each limb's
    residue.
    """
    low = prg.uint64(n) >> np.uint64(64 - _LOW)
    limbs = []
    for start in range(_LOW, bits + 1, _LIMB):
        width = min(_LIMB, bits + 1 - start)
        limbs.append((start, prg.bytes(2 * n).view(np.uint16) >> np.uint16(16 - width)))
    out = np.empty((len(primes), n), np.uint64)
    for i, q in enumerate(primes):
        total = low % np.uint64(q) + np.uint64(-(1 << bits) % q)
        for start, limb in limbs:
            total += _residues(q, start)[limb]  # at most eight terms below 2^60
        out[i] = total % np.uint64(q)
    return out


@lru_cache(maxsize=64)
def _residues(q: int, start: int) -> NDArray[np.uint64]:
    """j * 2^start mod q for every limb j."""
    return np.array([(j << start) % q for j in range(1 << _LIMB)], np.uint64)
