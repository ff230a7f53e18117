"""The linear rescale alone: y = floor(z / 2^f) up to one unit, no sign test. Implements `Relu`.

Semi-honest. Notation, correctness and the bounds on z: truncation.py; f >= 1, both moduli.

            sender: z_s; u1                         receiver: z_c, y_c
 offline    p = n_c * u1 by COT;  p_s + p_c = p
 (1)        D1 = n_s Q - u1  →
 (2)                                     ←  P       P = A_c + p_c - y_c + n_c D1
 output     y_s = A_s + p_s + P                     nothing: y_c was chosen offline

f bits down in the ring (l for the prime) and l bits up an element, one round trip. For LeakyReLU, quadratic
activations and average pooling, whose linear parts need a rescale of their own. D1 is masked by the uniform
unit u1, which is hidden in p unless n_c = 1; then the receiver learns n_s Q - u1 and u1 - p_s, p_s
pseudorandom. P is masked by y_c.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..channel import Channel
from ..errors import ParameterError
from ..ot import OtPair
from ..ot.products import product_bytes
from ..ot.softspoken import DEFAULT_K, extension_bytes
from ..prg import Prg
from . import truncation
from .activation import Activation, Cost, Phase
from .arithmetic import Arithmetic, Mask, Residues, Units, arithmetic, as_mask, widen
from .columns import Column, Columns, blocks, message_size
from .material import flat, rows_of, shaped
from .simulate import rescaled

__all__ = ["Rescale", "RescaleReceiver", "RescaleSender"]


@dataclass(frozen=True)
class RescaleSender:
    u1: Units
    p_s: Units


@dataclass(frozen=True)
class RescaleReceiver:
    """C0 = A_c + p_c - y_c, and n_c as a mask."""

    C0: Residues
    n_c: Mask


class Rescale:
    """The protocol `rescale`, for an activation without knots. It has no state."""

    name = "rescale"

    # ---- offline

    def offline_sender(self, ch: Channel, ot: OtPair, act: Activation, batch: int, prg: Prg) -> RescaleSender:
        ar, count = _parameters(act), batch * act.elements
        u1 = ar.uniform_units(prg, count)
        p_s = truncation.send_units(ch, ar, ot.sender.extend(count), u1)
        return shaped(act, batch, RescaleSender(u1, p_s))

    def offline_receiver(
        self, ch: Channel, ot: OtPair, act: Activation, z_c: Residues, y_c: Residues, prg: Prg
    ) -> RescaleReceiver:
        ar, batch = _parameters(act), act.batch_of(z_c)
        if act.batch_of(y_c) != batch:
            raise ParameterError(f"shares of {batch} and {y_c.shape[0]} images")
        C0, n_c = truncation.receiver_terms(ar, z_c.reshape(-1))
        assert n_c is not None
        p_c = truncation.recv_units(ch, ar, ot.receiver.extend(n_c))
        ar.add_(C0, ar.lift(p_c))
        ar.sub_(C0, y_c.reshape(-1))
        return shaped(act, batch, RescaleReceiver(C0, as_mask(n_c)))

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
        first = Columns(y.size, _down(ar))
        for rows in blocks(y.size):  # (1)
            y[rows], D1 = truncation.sender_terms(ar, z[rows])
            assert D1 is not None
            ar.sub_units_(D1, kept.u1[rows])
            ar.add_(y[rows], ar.lift(kept.p_s[rows]))
            first.put(rows, [ar.reduce_units(D1)])
        ch.send(first.data)
        return y.reshape(z_s.shape)

    def close(self, ch: Channel, act: Activation, y: Residues) -> None:
        """Sender: receives (2) and adds P to what `open` returned, in place."""
        ar, flat_y = _parameters(act), y.reshape(-1)
        second = Columns(y.size, _up(ar), ch.recv(message_size(y.size, _up(ar))))  # (2)
        for rows in blocks(y.size):
            ar.add_(flat_y[rows], truncation.checked(ar, second.get(rows)[0]))

    def answer(self, ch: Channel, act: Activation, material: RescaleReceiver) -> Any:
        """Receiver: receives (1); returns (2), still to be sent."""
        ar, batch = _parameters(act), material.C0.shape[0]
        kept, count = flat(act, batch, material), batch * act.elements
        first = Columns(count, _down(ar), ch.recv(message_size(count, _down(ar))))  # (1)
        second = Columns(count, _up(ar))
        for rows in blocks(count):  # (2)
            part = rows_of(kept, rows)
            D1 = truncation.checked(ar, first.get(rows)[0])
            P = ar.lift(D1 & widen(part.n_c, D1.dtype))
            second.put(rows, [ar.modulus.add(P, part.C0)])
        return second.data

    # ---- what it computes, what it costs

    def simulate(self, act: Activation, z_s: Residues, z_c: Residues) -> Residues:
        _parameters(act)
        return rescaled(act.modulus, act.shift, z_s, z_c)

    def cost(self, act: Activation, batch: int, ot_k: int = DEFAULT_K) -> Cost:
        ar, count = _parameters(act), batch * act.elements
        unit = ar.unit_dtype.itemsize
        return Cost(
            offline=Phase(product_bytes(count, ar.unit_group), extension_bytes(count, ot_k), 1),
            online=Phase(message_size(count, _down(ar)), message_size(count, _up(ar)), 1),
            and_gates=0,
            table_bytes=0,
            sender_stored=2 * unit * count,
            receiver_stored=5 * count,
        )


def _down(ar: Arithmetic) -> list[Column]:
    return [Column(ar.unit_width, ar.unit_dtype)]


def _up(ar: Arithmetic) -> list[Column]:
    return [Column(ar.modulus.bits, np.dtype(np.uint32))]


def _parameters(act: Activation) -> Arithmetic:
    if act.knots:
        raise ParameterError(
            f"the rescale protocol has no sign test, but this activation has {len(act.knots)} knots"
        )
    if not act.shift:
        raise ParameterError("a rescale shifts by at least one bit")
    return arithmetic(act.modulus, act.shift)
