"""A sum of shifted ReLUs as one plain ReLU on more elements: sum_j c_j ReLU~(z - knot_j).

Local: whatever computes shares of y_j = ReLU~(z_j) serves, with the J terms of a position beside each other.

    sender      z_s,j = z_s - knot_j,   y_s = sum_j c_j y_s,j
    receiver    z_c,j = z_c,   y_c,j uniform but for  sum_j c_j y_c,j = y_c

Every y_c,j alone, and any J - 1 of them together, are uniform, as the plain protocol asks of its y_c. A layer
of one term, knot 0 and coefficient 1, is the plain one already and is passed through.
"""

from dataclasses import replace

import numpy as np

from ..errors import ParameterError
from ..prg import Prg
from .activation import Activation
from .arithmetic import Residues

__all__ = ["gather", "is_plain", "plain", "spread_receiver", "spread_result", "spread_sender"]


def is_plain(act: Activation) -> bool:
    return act.knots == (0,) and act.coefs == (1,)


def plain(act: Activation) -> Activation:
    """The plain ReLU on J terms a position. Raises ParameterError where there is no knot to test."""
    if not act.knots:
        raise ParameterError("an activation without knots has no sign test: its protocol is `rescale`")
    if is_plain(act):
        return act
    return replace(act, positions=len(act.knots) * act.positions, knots=(0,), coefs=(1,))


def spread_sender(act: Activation, z_s: Residues) -> Residues:
    """z_s,j: (batch, channels, positions) to (batch, channels, J * positions)."""
    act.batch_of(z_s)
    if is_plain(act):
        return z_s
    knots = act.modulus.encode(np.array(act.knots, np.int64))
    terms = act.modulus.sub(z_s[:, :, None], knots[:, None])
    return terms.reshape(*z_s.shape[:2], -1)


def spread_receiver(act: Activation, z_c: Residues) -> Residues:
    """z_c,j, in the order of `spread_sender`."""
    act.batch_of(z_c)
    return z_c if is_plain(act) else np.tile(z_c, len(act.knots))


def spread_result(act: Activation, y_c: Residues, prg: Prg) -> Residues:
    """y_c,j: all but the first drawn, the first what is missing to y_c."""
    act.batch_of(y_c)
    if is_plain(act):
        return y_c
    batch, channels, positions = y_c.shape
    terms = np.zeros((batch, channels, len(act.knots), positions), np.uint32)
    terms[:, :, 1:] = act.modulus.uniform(prg, terms[:, :, 1:].shape)
    missing = act.modulus.sub(y_c, gather(act, terms.reshape(batch, channels, -1)))
    terms[:, :, 0] = missing if act.coefs[0] > 0 else act.modulus.neg(missing)
    return terms.reshape(batch, channels, -1)


def gather(act: Activation, y: Residues) -> Residues:
    """sum_j c_j y_j: (batch, channels, J * positions) to (batch, channels, positions)."""
    if is_plain(act):
        return y
    terms = y.reshape(*y.shape[:2], len(act.knots), act.positions)
    total = np.zeros_like(terms[:, :, 0])
    for j, coef in enumerate(act.coefs):
        total = (act.modulus.add if coef > 0 else act.modulus.sub)(total, terms[:, :, j])
    return total
