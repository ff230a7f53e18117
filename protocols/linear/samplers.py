"""The sender's noise, from a `Prg`: ternary, centred binomial, and uniform integers wider than a word.

The functions in NumPy are the definitions; the native kernels give the same values.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .. import kernels
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
    fast = kernels.native()
    if fast is None:
        return centred_binomial_numpy(draw)
    out = np.empty(n, np.int64)
    fast.centred_binomial(draw, BINOMIAL, out)
    return out


def centred_binomial_numpy(draw: NDArray[np.uint64]) -> NDArray[np.int64]:
    """`centred_binomial` of drawn words."""
    mask = np.uint64((1 << BINOMIAL) - 1)
    ones, others = np.bitwise_count(draw & mask), np.bitwise_count((draw >> np.uint64(BINOMIAL)) & mask)
    difference: NDArray[np.int64] = ones.astype(np.int64) - others.astype(np.int64)
    return difference


def signed_uniform(prg: Prg, bits: int, n: int, primes: Sequence[int]) -> NDArray[np.uint64]:
    """Uniform integers in [-2^bits, 2^bits), bits >= 60, reduced modulo each prime: shape (primes, n).

    The integer is its low 60 bits, limbs of 12 bits above them, minus 2^bits; a table gives each limb's
    residue.
    """
    low = prg.uint64(n)
    count = len(range(_LOW, bits + 1, _LIMB))
    limbs = prg.bytes(2 * n * count).view(np.uint16).reshape(count, n)
    fast = kernels.native()
    if fast is None:
        return signed_residues_numpy(low, limbs, bits, primes)
    out = np.empty((len(primes), n), np.uint64)
    fast.signed_residues(low, limbs, bits, list(primes), out)
    return out


def signed_residues_numpy(
    low: NDArray[np.uint64], limbs: NDArray[np.uint16], bits: int, primes: Sequence[int]
) -> NDArray[np.uint64]:
    """`signed_uniform` of drawn words: the top bits of each count."""
    out = np.empty((len(primes), low.size), np.uint64)
    for row, q in zip(out, primes, strict=True):
        total = (low >> np.uint64(64 - _LOW)) % np.uint64(q) + np.uint64(-(1 << bits) % q)
        for start, limb in zip(range(_LOW, bits + 1, _LIMB), limbs, strict=True):
            width = min(_LIMB, bits + 1 - start)
            total += _residues(q, start)[limb >> np.uint16(16 - width)]  # at most eight terms below 2^60
        row[:] = total % np.uint64(q)
    return out


@lru_cache(maxsize=64)
def _residues(q: int, start: int) -> NDArray[np.uint64]:
    """j * 2^start mod q for every limb j."""
    return np.array([(j << start) % q for j in range(1 << _LIMB)], np.uint64)
