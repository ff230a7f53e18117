"""Circa's stochastic sign test sign~_k, and the exact one, on shares mod M: local arithmetic only.

[GJRG21] Ghodsi, Jha, Reagen, Garg. Circa: Stochastic ReLUs for Private Deep Learning. NeurIPS 2021, §3.

x = x_s + x_c mod M, |x| <= M/2, and t = -x_c mod M, so that x_s = t + x but for a wrap. For 0 <= k <= l - 2:

    sign~_k(x) = [x_s >> k >  t >> k]    poszero
                 [x_s >> k >= t >> k]    negpass

Why. x_s is uniform, and t + x leaves [0, M) for |x| of its M values. There x_s and t differ by M - |x| >= M/2
>= 2^k in the wrong direction, and both tests are wrong whatever k is. Elsewhere x_s - t = x, and dropping k
bits can at most make the two sides equal, for 0 < |x| < 2^k, unless a multiple of 2^k lies between them:
poszero calls that negative and is wrong for x >= 0, negpass calls it positive and is wrong for x < 0. To
first order a fault has probability

    |x| / M                       everywhere, and in addition
    1 - x / 2^k                   on     0 <= x < 2^k   (poszero)
    1 - |x| / 2^k                 on -2^k <  x < 0      (negpass)

`positive_probability` counts the values x_s exactly. k = 0 in mode poszero is Circa's plain stochastic sign.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError
from ..shares import Modulus

__all__ = [
    "MODES",
    "check_truncation",
    "exact_drelu",
    "fault_probability",
    "positive_probability",
    "threshold",
    "truncated_drelu",
]

MODES = ("poszero", "negpass")

Residues = NDArray[np.uint32]


def check_truncation(modulus: Modulus, truncate_bits: int, mode: str) -> None:
    """Raises ParameterError, with the range, where k or the mode is not one of sign~_k mod M."""
    if not 0 <= truncate_bits <= modulus.bits - 2:
        raise ParameterError(
            f"{truncate_bits} truncated bits; a sign test on {modulus.bits}-bit shares drops 0 to"
            f" {modulus.bits - 2}"
        )
    if mode not in MODES:
        raise ParameterError(f"unknown fault mode {mode!r}; modes of a truncated sign: {', '.join(MODES)}")


def threshold(modulus: Modulus, x_c: Residues) -> Residues:
    """t, the receiver's side of the comparison."""
    return modulus.neg(x_c)


def exact_drelu(modulus: Modulus, x_s: Residues, x_c: Residues) -> NDArray[np.uint8]:
    """[x >= 0]; the residue (M - 1) / 2 of an odd M counts as negative, as in Delphi's circuit."""
    return (modulus.add(x_s, x_c) < np.uint32(modulus.value // 2)).astype(np.uint8)


def truncated_drelu(
    modulus: Modulus, truncate_bits: int, mode: str, x_s: Residues, x_c: Residues
) -> NDArray[np.uint8]:
    """sign~_k from both shares."""
    k = np.uint32(truncate_bits)
    compare = np.greater_equal if mode == "negpass" else np.greater
    positive: NDArray[np.bool_] = compare(x_s >> k, threshold(modulus, x_c) >> k)
    return positive.astype(np.uint8)


def positive_probability(
    x: ArrayLike, modulus: Modulus, truncate_bits: int, mode: str
) -> NDArray[np.float64]:
    """P[sign~_k(x) = 1] over uniform shares, for signed integers x; exact."""
    check_truncation(modulus, truncate_bits, mode)
    x = np.asarray(x, np.int64)
    size, M, step = np.abs(x), modulus.value, 1 << truncate_bits
    if mode == "poszero":
        # no wrap: x_s in [x, M), all of them for x >= step, else those whose low part is below x
        near = _residues_below(np.full_like(x, M), size, step) - size
        positive = np.where(size < step, near, M - size)
        count = np.where(x >= 0, positive, size)
    else:
        # no wrap: x_s in [0, M - |x|); of x < 0 those whose low part stays in its block
        near = _residues_below(M - size, np.maximum(step - size, 0), step)
        count = np.where(x >= 0, M - size, near + size)
    probability: NDArray[np.float64] = count / M
    return probability


def fault_probability(x: ArrayLike, modulus: Modulus, truncate_bits: int, mode: str) -> NDArray[np.float64]:
    """P[sign~_k(x) != [x >= 0]] over uniform shares."""
    positive = positive_probability(x, modulus, truncate_bits, mode)
    fault: NDArray[np.float64] = np.where(np.asarray(x) >= 0, 1.0 - positive, positive)
    return fault


def _residues_below(count: NDArray[np.int64], low: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """How many i in [0, count) have i mod step < low."""
    return count // step * low + np.minimum(count % step, low)
