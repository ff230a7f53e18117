"""ReLU by a garbled window comparator of n - 1 ANDs and the select with exact rescale. Implements `Relu`.

Semi-honest, the ring. design.md 5.2: the sign test yields a one-bit share for nothing, v = v_c XOR b_s, where
b_s is the permute bit of the circuit's output and v_c the colour of the label that the evaluator holds. No
MUX. The circuit is `window_sign` of garbling/relu_circuits.py on the indices a_j and t of sign/window.py; the
rest is that of table.py, whose fault law it has; half of the cells are positive, always.

            sender = garbler: z_s                   receiver = evaluator: z_c, y_c
 offline    tables for each j; b_j its permute bit  →   tables; labels of t by COT
            select material for b_j              ↔      select material for z_c, y_c
 (1)        D_j, D2_j, D1; labels of a_j         →      v_j from the circuits
 (2)                                             ←      P, e_j, e2_j
 output     y_s                                         nothing: y_c was chosen offline

16 n J bytes of labels down an element, in place of the N J bits of `table`: from n = 11 on the smaller
message. n is 2 to 16. The receiver keeps 32 (n - 1) + 16 n bytes a sign test. One round trip.
"""

from dataclasses import dataclass

import numpy as np

from ..channel import Channel
from ..errors import ParameterError
from ..garbling import yao
from ..garbling.plain import to_bits
from ..garbling.relu_circuits import window_sign
from ..ot import OtPair
from ..ot.softspoken import DEFAULT_K
from ..prg import Prg
from ..sign.window import Window
from ..steps import Steps, together
from . import garbled, select
from .activation import Activation, Cost, Phase
from .arithmetic import Arithmetic, Residues, arithmetic
from .columns import Columns, blocks, message_size
from .material import flat, join, rows_of, shaped
from .simulate import window_relu

__all__ = ["WindowGarbled", "WindowReceiver", "WindowSender"]

SELECT_PART = 1 << 16  # elements of the select at a time, offline


@dataclass(frozen=True)
class WindowSender:
    """The circuit's instances are [j][element]."""

    circuit: garbled.Garbler
    select: select.SelectSender


@dataclass(frozen=True)
class WindowReceiver:
    circuit: garbled.Evaluator
    select: select.SelectReceiver


class WindowGarbled:
    """The protocol `window-garbled`. It has no state."""

    name = "window-garbled"

    # ---- offline

    def offline_sender(
        self, ch: Channel, ot: OtPair, act: Activation, batch: int, prg: Prg
    ) -> Steps[WindowSender]:
        window, ar = _parameters(act)
        J, made = len(act.knots), []
        fixed = np.empty((batch, 0, J * act.elements), np.uint8)
        yield  # nothing in step 0
        circuit, permute = yield from garbled.garble_layer(ch, ot, window_sign(window.bits), fixed, prg)
        b = _by_term(permute, J)
        for part in _parts(b.shape[1]):
            made.append(select.prepare_sender(ch, ot, ar, b[:, part], prg))
        kept = yield from together(made)
        return WindowSender(circuit, shaped(act, batch, join(kept)))

    def offline_receiver(
        self, ch: Channel, ot: OtPair, act: Activation, z_c: Residues, y_c: Residues, prg: Prg
    ) -> Steps[WindowReceiver]:
        window, ar = _parameters(act)
        batch = act.batch_of(z_c)
        if act.batch_of(y_c) != batch:
            raise ParameterError(f"shares of {batch} and {y_c.shape[0]} images")
        t = to_bits(window.index_c(z_c).reshape(batch, -1), window.bits)
        yield  # nothing in step 0
        bits = np.tile(t, len(act.knots))
        circuit = yield from garbled.receive_layer(ch, ot, window_sign(window.bits), bits)
        z, y, made = z_c.reshape(-1), y_c.reshape(-1), []
        for part in _parts(z.size):
            made.append(select.prepare_receiver(ch, ot, ar, act.coefs, z[part], y[part], prg))
        kept = yield from together(made)
        return WindowReceiver(circuit, shaped(act, batch, join(kept)))

    # ---- online

    def online_sender(self, ch: Channel, act: Activation, z_s: Residues, material: WindowSender) -> Residues:
        window, ar = _parameters(act)
        batch = act.batch_of(z_s)
        kept, count = flat(act, batch, material.select), batch * act.elements
        z = [z_s - np.uint32(knot % (1 << 32)) if knot else z_s for knot in act.knots]
        a = np.concatenate([window.index_s(z_j).reshape(batch, -1) for z_j in z], axis=1)
        y, first = np.empty(count, np.uint32), Columns(count, select.opening_columns(ar, len(z)))
        z = [z_j.reshape(-1) for z_j in z]
        for rows in blocks(count):  # (1)
            y[rows], opened = select.opening(ar, rows_of(kept, rows), act.coefs, [z_j[rows] for z_j in z])
            first.put(rows, opened)
        ch.send(first.data)
        garbled.send_layer(ch, window_sign(window.bits), material.circuit, to_bits(a, window.bits))
        columns = select.answer_columns(ar, len(z))
        second = Columns(count, columns, ch.recv(message_size(count, columns)))  # (2)
        for rows in blocks(count):
            select.finish(ar, rows_of(kept, rows), y[rows], second.get(rows))
        return y.reshape(z_s.shape)

    def online_receiver(self, ch: Channel, act: Activation, material: WindowReceiver) -> None:
        window, ar = _parameters(act)
        batch, J = material.select.C0.shape[0], len(act.knots)
        kept, count = flat(act, batch, material.select), batch * act.elements
        columns = select.opening_columns(ar, J)
        first = Columns(count, columns, ch.recv(message_size(count, columns)))  # (1)
        circuit, elements = window_sign(window.bits), J * act.elements
        colours = [part for _, part in garbled.evaluate_layer(ch, circuit, material.circuit, elements)]
        v = _by_term(np.concatenate(colours, axis=2), J)
        second = Columns(count, select.answer_columns(ar, J))
        for rows in blocks(count):  # (2)
            second.put(rows, select.answer(ar, rows_of(kept, rows), first.get(rows), list(v[:, rows])))
        ch.send(second.data)

    # ---- what it computes, what it costs

    def simulate(self, act: Activation, z_s: Residues, z_c: Residues) -> Residues:
        window, _ = _parameters(act)
        return window_relu(act.modulus, act.shift, window, act.knots, act.coefs, z_s, z_c)

    def cost(self, act: Activation, batch: int, ot_k: int = DEFAULT_K) -> Cost:
        window, ar = _parameters(act)
        circuit, J, count = window_sign(window.bits), len(act.knots), batch * act.elements
        down, up, rounds = garbled.offline_bytes(circuit, batch, J * act.elements, ot_k)
        for part in _parts(count):
            select_down, select_up = select.offline_bytes(ar, J, part.stop - part.start, ot_k)
            down, up = down + select_down, up + select_up
        sender_kept, receiver_kept = garbled.stored_bytes(circuit, batch, J * act.elements)
        sender_select, receiver_select = select.stored_bytes(ar, J)
        labels = yao.label_bytes(circuit, J * count)
        return Cost(
            offline=Phase(down, up, rounds + 1),
            online=Phase(
                message_size(count, select.opening_columns(ar, J)) + labels,
                message_size(count, select.answer_columns(ar, J)),
                1,
            ),
            and_gates=J * count * circuit.ands,
            table_bytes=yao.table_bytes(circuit, J * count),
            sender_stored=sender_kept + count * sender_select,
            receiver_stored=receiver_kept + count * receiver_select,
        )


def _by_term(bits: garbled.Bits, terms: int) -> garbled.Bits:
    """One output of each instance, (batch, 1, J * elements), to (J, batch * elements)."""
    return bits.reshape(len(bits), terms, -1).transpose(1, 0, 2).reshape(terms, -1)


def _parameters(act: Activation) -> tuple[Window, Arithmetic]:
    if act.window is None or not act.modulus.is_ring:
        raise ParameterError("the window-garbled protocol needs a window, and the ring 2^32")
    if not act.knots:
        raise ParameterError("an activation without knots has no sign test: its protocol is `rescale`")
    if act.window.positive:
        raise ParameterError("the circuit compares with half of the cells: give a window without `positive`")
    return act.window, arithmetic(act.modulus, act.shift)


def _parts(count: int) -> list[slice]:
    return [slice(start, min(start + SELECT_PART, count)) for start in range(0, count, SELECT_PART)]
