"""The linear rescale alone: y = floor(z / 2^f) up to one unit, no sign test. Implements `Relu`.

Semi-honest. Notation, correctness and the bounds on z: truncation.py; f >= 1, both moduli.

            sender: z_s; s                          receiver: z_c, y_c, r
 offline    p = n_c * s Q by COT;  p_s + p_c = p
                                         ←  c       c = A_c - y_c - r
 (1)        m = n_s ^ s  →
 (2)                                     ←  P       P = n_c m Q + (1-2 m) p_c + r
 output     y_s = A_s + (1-2 m) p_s + c + P         nothing: y_c was chosen offline

for n_c n_s = n_c (m ^ s) = n_c m + (1-2 m) n_c s. s is a random bit, so (1) is one bit an element. In the
ring r is a uniform unit, a multiple of Q, and so is P: f bits; c is l bits, offline. Modulo the prime units
have l bits and nothing would be saved by r: there c is absent, A_c - y_c stands for r, and P has l bits. One
round trip. For LeakyReLU, average pooling, and what a mask leaves without a sign test.

What hides what. The receiver sees m, masked by the uniform bit s: p_c is independent of s unless n_c = 1,
and then p_c = s Q - p_s is masked by p_s, pseudorandom to it. The sender sees c, masked by y_c, which is
uniform mod M, and P, masked by r: y_c and r are independent and used nowhere else, so that (c, P) is uniform
whatever the shares are. Without r, P is masked by y_c.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel, send_array
from ..errors import ParameterError
from ..ot import OtPair
from ..ot.products import product_bytes
from ..ot.softspoken import DEFAULT_K, extension_bytes
from ..prg import Prg
from ..shares import recv_residues
from ..steps import Steps
from . import truncation
from .activation import Activation, Cost, Phase
from .arithmetic import Arithmetic, Residues, Units, arithmetic, as_mask, widen
from .columns import Column, Columns, blocks, message_size
from .material import flat, shaped
from .simulate import rescaled

__all__ = ["Rescale", "RescaleReceiver", "RescaleSender"]

Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class RescaleSender:
    """s, 0 or 1; p_s; c (None modulo the prime)."""

    s: Bits
    p: Units
    c: Residues | None


@dataclass(frozen=True)
class RescaleReceiver:
    """P for either m."""

    P0: Units
    P1: Units


class Rescale:
    """The protocol `rescale`, for an activation without knots. It has no state."""

    name = "rescale"

    # ---- offline

    def offline_sender(
        self, ch: Channel, ot: OtPair, act: Activation, batch: int, prg: Prg
    ) -> Steps[RescaleSender]:
        ar, count = _parameters(act), batch * act.elements
        s = prg.bits(count)
        yield  # nothing in step 0
        cots = ot.sender.extend(count)
        c = recv_residues(ch, (count,), act.modulus).copy() if act.modulus.is_ring else None
        yield
        p = truncation.send_units(ch, ar, cots, ar.of_bits(s))
        return shaped(act, batch, RescaleSender(s, p, c))

    def offline_receiver(
        self, ch: Channel, ot: OtPair, act: Activation, z_c: Residues, y_c: Residues, prg: Prg
    ) -> Steps[RescaleReceiver]:
        ar, batch = _parameters(act), act.batch_of(z_c)
        if act.batch_of(y_c) != batch:
            raise ParameterError(f"shares of {batch} and {y_c.shape[0]} images")
        c, n_c = truncation.receiver_terms(ar, z_c.reshape(-1))
        assert n_c is not None
        ar.sub_(c, y_c.reshape(-1))
        yield  # nothing in step 0
        cots = ot.receiver.extend(n_c)
        if act.modulus.is_ring:
            r = ar.uniform_units(prg, c.size)
            ar.sub_(c, ar.lift(r))
            send_array(ch, c)
        else:
            r = c  # units are residues, and nothing is sent
        yield
        P0 = truncation.recv_units(ch, ar, cots)
        P1 = ar.of_bits(n_c).copy()
        ar.sub_units_(P1, P0)
        ar.add_units_(P0, r)
        ar.add_units_(P1, r)
        return shaped(act, batch, RescaleReceiver(P0, P1))

    # ---- online

    def online_sender(self, ch: Channel, act: Activation, z_s: Residues, material: RescaleSender) -> Residues:
        y = self.open(ch, act, z_s, material)
        self.close(ch, act, y)
        return y

    def online_receiver(self, ch: Channel, act: Activation, material: RescaleReceiver) -> None:
        ch.send(self.answer(ch, act, material))

    # The same in steps, so that the messages of another protocol may go between them.

    def open(self, ch: Channel, act: Activation, z_s: Residues, material: RescaleSender) -> Residues:
        """Sender: sends (1); returns y_s without P."""
        ar, batch = _parameters(act), act.batch_of(z_s)
        kept, z, y = flat(act, batch, material), z_s.reshape(-1), np.empty(z_s.size, np.uint32)
        first = Columns(y.size, _FIRST)
        for rows in blocks(y.size):  # (1)
            A_s, n_s = truncation.sender_terms(ar, z[rows])
            assert n_s is not None
            m, p = (n_s != 0) ^ kept.s[rows], kept.p[rows].copy()
            ar.negate_units_where_(p, as_mask(m))
            ar.add_(A_s, ar.lift(p))
            if kept.c is not None:
                ar.add_(A_s, kept.c[rows])
            y[rows] = A_s
            first.put(rows, [m])
        ch.send(first.data)
        return y.reshape(z_s.shape)

    def close(self, ch: Channel, act: Activation, y: Residues) -> None:
        """Sender: receives (2) and adds P to what `open` returned, in place."""
        ar, flat_y = _parameters(act), y.reshape(-1)
        columns = _second(ar)
        second = Columns(y.size, columns, ch.recv(message_size(y.size, columns)))  # (2)
        for rows in blocks(y.size):
            ar.add_(flat_y[rows], ar.lift(truncation.checked(ar, second.get(rows)[0])))

    def answer(self, ch: Channel, act: Activation, material: RescaleReceiver) -> Any:
        """Receiver: receives (1); returns (2), still to be sent."""
        ar, batch = _parameters(act), material.P0.shape[0]
        kept, count = flat(act, batch, material), batch * act.elements
        first = Columns(count, _FIRST, ch.recv(message_size(count, _FIRST)))  # (1)
        second = Columns(count, _second(ar))
        for rows in blocks(count):  # (2)
            P0 = kept.P0[rows]
            m = widen(as_mask(first.get(rows)[0]), P0.dtype)
            second.put(rows, [ar.reduce_units(P0 ^ (P0 ^ kept.P1[rows]) & m)])
        return second.data

    # ---- what it computes, what it costs

    def simulate(self, act: Activation, z_s: Residues, z_c: Residues) -> Residues:
        _parameters(act)
        return rescaled(act.modulus, act.shift, z_s, z_c)

    def cost(self, act: Activation, batch: int, ot_k: int = DEFAULT_K) -> Cost:
        ar, count = _parameters(act), batch * act.elements
        unit = ar.unit_dtype.itemsize
        c = 4 * count if act.modulus.is_ring else 0
        return Cost(
            offline=Phase(product_bytes(count, ar.unit_group), extension_bytes(count, ot_k) + c, 1),
            online=Phase(message_size(count, _FIRST), message_size(count, _second(ar)), 1),
            and_gates=0,
            table_bytes=0,
            sender_stored=(1 + unit) * count + c,
            receiver_stored=2 * unit * count,
        )


_FIRST = [Column(1, np.dtype(np.uint8))]  # m


def _second(ar: Arithmetic) -> list[Column]:
    return [Column(ar.unit_width, ar.unit_dtype)]  # P


def _parameters(act: Activation) -> Arithmetic:
    if act.knots:
        raise ParameterError(
            f"the rescale protocol has no sign test, but this activation has {len(act.knots)} knots"
        )
    if not act.shift:
        raise ParameterError("a rescale shifts by at least one bit")
    return arithmetic(act.modulus, act.shift)
