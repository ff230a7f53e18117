"""Select with exact rescale: y = sum_j c_j v_j floor(z_j / 2^f), the bits v_j shared by XOR (design.md 5.3).

Semi-honest. z_j = z - knot_j, c_j = 1 or -1; A_s, A_c, n_s, n_c, Q and the range of z_j: truncation.py. For
f = 0, everything with n, Q, u1, u2 falls away.

            sender: z_s, b_j; u_j, u1, u2_j         receiver: z_c; y_c, beta_j, beta2_j
 offline    products by COT, the chooser first:     g_j = b_j * (c_j A_c),  h_j = beta_j * (u_j - 2 g_s_j),
                                                    p = n_c * u1,  q_j = beta2_j * u2_j;  x_s + x_c = x
 (1)        D_j = (1-2 b_j) c_j A_s - u_j
            D1 = sum_j b_j c_j n_s Q - u1
            D2_j = (1-2 b_j) c_j n_s Q - u2_j  →
 (2)                                  ←  P, e, e2   v_j = the receiver's share of the sign bit,
                                                    e_j = v_j ^ beta_j,  e2_j = v_j n_c ^ beta2_j,
                                                    P = C0 + n_c D1 + sum_j v_j (C1_j + D_j + n_c D2_j)
 output     y_s = S0 + P + sum_j (b_j c_j A_s + e_j S1_j + e2_j S2_j)

 where      G_j = g_c_j + (1-2 beta_j) h_c_j,   q'_j = (1-2 beta2_j) q_c_j
            C0 = p_c - y_c + sum_j (G_j + q'_j),    C1_j = c_j A_c - 2 G_j - 2 n_c q'_j
            S0 = p_s + sum_j (g_s_j + h_s_j + q_s_j)
            S1_j = u_j - 2 g_s_j - 2 h_s_j,   S2_j = u2_j - 2 q_s_j

are made offline: the terms (1-2 e) h_c, (1-2 v) g_c and (1-2 e2) q_c of design.md 5.3 are linear in v_j
once beta and n_c are known. In the ring u1, u2, D1, D2 are multiples of Q, f bits each (arithmetic.py). n_s
and n_c are the same for all j but for the sender's knots, so that one D1 serves all knots.

One message each way, all columns packed: J (l + u) + u bits down and l + 2 J bits up, with l bits a residue
and u = f (ring) or l (prime); for f = 0, J l down and l + J up. What the messages hide: SECURITY.md, and
design.md 5.5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel
from ..ot import OtPair
from ..ot.products import product_bytes, recv_products, send_products
from ..ot.softspoken import extension_bytes
from ..prg import Prg
from ..steps import Steps
from .arithmetic import Arithmetic, Mask, Residues, Units, as_mask, widen
from .columns import Column
from .truncation import checked, receiver_terms, recv_units, send_units, sender_terms

__all__ = [
    "ReceiverTerm",
    "SelectReceiver",
    "SelectSender",
    "SenderTerm",
    "answer",
    "answer_columns",
    "finish",
    "offline_bytes",
    "opening",
    "opening_columns",
    "prepare_receiver",
    "prepare_sender",
    "stored_bytes",
]

Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class SenderTerm:
    """For one j; b as a mask, S2 and u2 as units (None for f = 0)."""

    b: Mask
    u: Residues
    S1: Residues
    u2: Units | None
    S2: Units | None


@dataclass(frozen=True)
class SelectSender:
    S0: Residues
    u1: Units | None
    terms: tuple[SenderTerm, ...]


@dataclass(frozen=True)
class ReceiverTerm:
    """For one j; beta holds beta_j in bit 0 and beta2_j in bit 1."""

    C1: Residues
    beta: Bits


@dataclass(frozen=True)
class SelectReceiver:
    C0: Residues
    n_c: Mask | None
    terms: tuple[ReceiverTerm, ...]


def opening_columns(ar: Arithmetic, terms: int) -> list[Column]:
    """Message (1): D_j, D2_j for each j, then D1."""
    D, unit = Column(ar.modulus.bits, np.dtype(np.uint32)), Column(ar.unit_width, ar.unit_dtype)
    return [D, unit] * terms + [unit] if ar.shift else [D] * terms


def answer_columns(ar: Arithmetic, terms: int) -> list[Column]:
    """Message (2): P, then e_j, e2_j for each j."""
    P, bit = Column(ar.modulus.bits, np.dtype(np.uint32)), Column(1, np.dtype(np.uint8))
    return [P] + [bit] * (terms * (2 if ar.shift else 1))


# ---- offline, on flat arrays of `count` elements; rows are the terms j


def prepare_sender(ch: Channel, ot: OtPair, ar: Arithmetic, b: Bits, prg: Prg) -> Steps[SelectSender]:
    """The sender's material for the bits b_j, uint8 (J, count)."""
    modulus, J, count = ar.modulus, *b.shape
    chosen = ot.receiver.extend(b.reshape(-1))
    yield
    made = ot.sender.extend(_sent_cots(ar, J) * count)
    g = recv_products(ch, chosen, modulus).reshape(b.shape)
    yield
    u = modulus.uniform(prg, b.shape)
    kappa = _minus_twice(ar.sub_, u, g)
    h = send_products(ch, made.part(0, J * count), kappa, modulus)
    S1 = _minus_twice(ar.sub_, kappa, h)
    S0 = np.zeros(count, np.uint32)
    for row in (*g, *h):
        ar.add_(S0, row)
    if not ar.shift:
        return SelectSender(
            S0, None, tuple(SenderTerm(as_mask(b[j]), u[j], S1[j], None, None) for j in range(J))
        )
    u1, u2 = ar.uniform_units(prg, count), ar.uniform_units(prg, b.shape)
    p = send_units(ch, ar, made.part(J * count, (J + 1) * count), u1)
    q = send_units(ch, ar, made.part((J + 1) * count, (2 * J + 1) * count), u2)
    for row in (p, *q):
        ar.add_(S0, ar.lift(row))
    S2 = _minus_twice(ar.sub_units_, u2, q)
    return SelectSender(S0, u1, tuple(SenderTerm(as_mask(b[j]), u[j], S1[j], u2[j], S2[j]) for j in range(J)))


def prepare_receiver(
    ch: Channel, ot: OtPair, ar: Arithmetic, coefs: Sequence[int], z_c: Residues, y_c: Residues, prg: Prg
) -> Steps[SelectReceiver]:
    """The receiver's material for its shares z_c and y_c, uint32 (count,)."""
    modulus, J, count = ar.modulus, len(coefs), z_c.size
    beta, beta2 = prg.bits((J, count)), prg.bits((J, count))
    A_c, n_c = receiver_terms(ar, z_c)
    choices = [beta.reshape(-1)] + ([] if n_c is None else [n_c, beta2.reshape(-1)])
    made = ot.sender.extend(J * count)
    yield
    chosen = ot.receiver.extend(np.concatenate(choices))
    cA = np.stack([A_c if c > 0 else modulus.neg(A_c) for c in coefs])
    G = send_products(ch, made, cA, modulus)
    yield
    h = recv_products(ch, chosen.part(0, J * count), modulus).reshape(J, count)
    ar.negate_where_(h, as_mask(beta))
    ar.add_(G, h)
    C0, C1 = modulus.neg(y_c), _minus_twice(ar.sub_, cA, G)
    for row in G:
        ar.add_(C0, row)
    if n_c is None:
        return SelectReceiver(C0, None, tuple(ReceiverTerm(C1[j], beta[j]) for j in range(J)))
    p = recv_units(ch, ar, chosen.part(J * count, (J + 1) * count))
    q = recv_units(ch, ar, chosen.part((J + 1) * count, (2 * J + 1) * count)).reshape(J, count)
    ar.negate_units_where_(q, as_mask(beta2))
    for row in (p, *q):
        ar.add_(C0, ar.lift(row))
    C1 = _minus_twice(ar.sub_, C1, ar.lift(q) & widen(as_mask(n_c), C1.dtype))
    beta |= beta2 << 1
    return SelectReceiver(C0, as_mask(n_c), tuple(ReceiverTerm(C1[j], beta[j]) for j in range(J)))


def offline_bytes(ar: Arithmetic, terms: int, count: int, ot_k: int) -> tuple[int, int]:
    """What `prepare_sender` and `prepare_receiver` send for `count` elements."""
    size = terms * count
    down = extension_bytes(size, ot_k) + product_bytes(size, ar.modulus)
    if ar.shift:
        down += product_bytes(count, ar.unit_group) + product_bytes(size, ar.unit_group)
    up = extension_bytes(_sent_cots(ar, terms) * count, ot_k) + product_bytes(size, ar.modulus)
    return down, up


def stored_bytes(ar: Arithmetic, terms: int) -> tuple[int, int]:
    """What the sender and the receiver keep for one element."""
    unit = ar.unit_dtype.itemsize if ar.shift else 0
    return 4 + unit + terms * (9 + 2 * unit), 4 + (1 if ar.shift else 0) + 5 * terms


# ---- online, on blocks of flat material


def opening(
    ar: Arithmetic, kept: SelectSender, coefs: Sequence[int], z: Sequence[Residues]
) -> tuple[Residues, list[Units]]:
    """Step (1): the part of y_s known before the answer, and the columns; z[j] = z_s - knot_j."""
    y, columns = kept.S0.copy(), []
    D1 = None if kept.u1 is None else np.zeros_like(kept.u1)
    for term, c, z_j in zip(kept.terms, coefs, z, strict=True):
        A, n = sender_terms(ar, z_j)
        flip = term.b if c > 0 else ~term.b
        (ar.add_ if c > 0 else ar.sub_)(y, A & widen(term.b, A.dtype))
        ar.negate_where_(A, flip)
        ar.sub_(A, term.u)
        columns.append(A)
        if n is not None and D1 is not None and term.u2 is not None:
            (ar.add_units_ if c > 0 else ar.sub_units_)(D1, n & widen(term.b, n.dtype))
            ar.negate_units_where_(n, flip)
            ar.sub_units_(n, term.u2)
            columns.append(ar.reduce_units(n))
    if D1 is not None and kept.u1 is not None:
        ar.sub_units_(D1, kept.u1)
        columns.append(ar.reduce_units(D1))
    return y, columns


def answer(ar: Arithmetic, kept: SelectReceiver, opened: Sequence[Units], v: Sequence[Bits]) -> list[Units]:
    """Step (2): the columns P, e_j, e2_j, from those of step (1) and the receiver's bits v_j."""
    P, columns = kept.C0.copy(), []
    per_term = 1 if kept.n_c is None else 2
    D1 = None if kept.n_c is None else checked(ar, opened[-1]).copy()
    for j, (term, v_j) in enumerate(zip(kept.terms, v, strict=True)):
        mask = as_mask(v_j)
        step = ar.modulus.add(checked(ar, opened[per_term * j]), term.C1)
        step &= widen(mask, step.dtype)
        ar.add_(P, step)
        columns.append(v_j ^ (term.beta & np.uint8(1)))
        if kept.n_c is not None and D1 is not None:
            ar.add_units_(D1, checked(ar, opened[per_term * j + 1]) & widen(mask, D1.dtype))
            columns.append((v_j & kept.n_c) ^ (term.beta >> np.uint8(1)))
    if kept.n_c is not None and D1 is not None:
        D1 &= widen(kept.n_c, D1.dtype)
        ar.add_(P, ar.lift(D1))
    return [P, *columns]


def finish(ar: Arithmetic, kept: SelectSender, y: Residues, answered: Sequence[Units]) -> None:
    """Output: add to `y`, in place, what the answer decides."""
    ar.add_(y, checked(ar, answered[0]))
    per_term = 1 if kept.u1 is None else 2
    for j, term in enumerate(kept.terms):
        ar.add_(y, term.S1 & widen(as_mask(answered[1 + per_term * j]), y.dtype))
        if term.S2 is not None:
            e2 = as_mask(answered[2 + per_term * j])
            ar.add_(y, ar.lift(term.S2 & widen(e2, term.S2.dtype)))


def _sent_cots(ar: Arithmetic, terms: int) -> int:
    """COTs an element under the sender's Delta: h_j, p, q_j."""
    return 2 * terms + 1 if ar.shift else terms


def _minus_twice(sub_: Callable[[Any, Any], None], x: Any, y: Any) -> Any:
    out = x.copy()
    sub_(out, y)
    sub_(out, y)
    return out
