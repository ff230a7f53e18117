"""What the protocols compute from both shares, bit for bit: pure functions, for tests and simulators."""

from collections.abc import Sequence

import numpy as np

from ..shares import Modulus
from ..sign.window import Window, drelu
from .arithmetic import Residues, arithmetic
from .truncation import receiver_terms, sender_terms

__all__ = ["rescaled", "window_relu"]


def rescaled(modulus: Modulus, shift: int, z_s: Residues, z_c: Residues) -> Residues:
    """A_c + A_s + Q n_c n_s: floor(z / 2^shift) up to one unit, as residues."""
    ar = arithmetic(modulus, shift)
    (A_s, nQ), (A_c, n_c) = sender_terms(ar, z_s), receiver_terms(ar, z_c)
    total = modulus.add(A_s, A_c)
    if nQ is not None and n_c is not None:
        ar.add_(total, ar.lift(nQ) * n_c)
    return total


def window_relu(
    modulus: Modulus,
    shift: int,
    window: Window,
    knots: Sequence[int],
    coefs: Sequence[int],
    z_s: Residues,
    z_c: Residues,
) -> Residues:
    """sum_j coefs[j] * DReLU~(z_j) * floor(z_j / 2^shift), z_j = z - knots[j]."""
    t = window.index_c(z_c)
    y = np.zeros_like(z_s)
    for j, (knot, coef) in enumerate(zip(knots, coefs, strict=True)):
        z_j = z_s - np.uint32(knot % (1 << 32))
        v = drelu(window.index_s(z_j), t, window.bits, window.cells(j))
        term = rescaled(modulus, shift, z_j, z_c) * v
        y = modulus.add(y, term) if coef > 0 else modulus.sub(y, term)
    return y
