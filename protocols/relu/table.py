"""ReLU by a table: window sign test by 1-of-N OT and select with exact rescale, one message each way.

Semi-honest. design.md 5; the steps are those of sign/table.py and select.py, which hold the figures.

            sender: z_s                             receiver: z_c, y_c
 offline    sign material for random b_j            sign material for t
            select material for b_j                 select material for z_c, y_c
 (1)        E_j for each j; D_j, D2_j, D1   →
 (2)                                  ←  P, e_j, e2_j
 output     y_s                                     nothing: y_c was chosen offline

For J knots and an f-bit rescale, bits an element: J (N + 32 + f) + f down, 32 + 2 J up (f = 0: J (N + 32)
down, 32 + J up); one round trip. J = 1, n = 6, f = 8: 14 + 4.25 = 18.25 bytes. Fails like window.py says,
and in no other way: the rescale is off by at most one unit, always.

The offline phase is one round trip, in steps 0 to 2 (steps.py); it takes elements in parts of `OFFLINE_PART`,
side by side, each of which stays in the cache.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..channel import Channel
from ..errors import ParameterError
from ..ot import OtPair
from ..ot.one_of_n import word_type
from ..ot.softspoken import DEFAULT_K
from ..prg import Prg
from ..sign import table as sign
from ..sign.window import Window
from ..steps import Steps, together
from . import select
from .activation import Activation, Cost, Phase
from .arithmetic import Arithmetic, Residues, arithmetic
from .columns import Column, Columns, blocks, message_size
from .material import flat, join, rows_of, shaped
from .simulate import window_relu

__all__ = ["OFFLINE_PART", "Table", "TableReceiver", "TableSender"]

OFFLINE_PART = 1 << 14
T = TypeVar("T")


@dataclass(frozen=True)
class TableSender:
    sign: sign.SignSender
    select: select.SelectSender


@dataclass(frozen=True)
class TableReceiver:
    sign: sign.SignReceiver
    select: select.SelectReceiver


class Table:
    """The protocol `table`; implements `Relu`. It has no state."""

    name = "table"

    # ---- offline

    def offline_sender(
        self, ch: Channel, ot: OtPair, act: Activation, batch: int, prg: Prg
    ) -> Steps[TableSender]:
        window, ar = _parameters(act)
        made = []
        for part in _parts(batch * act.elements):
            b = prg.bits((len(act.knots), part.stop - part.start))
            tables = sign.prepare_sender(ot, window.bits, b)
            made.append(_beside(TableSender, tables, select.prepare_sender(ch, ot, ar, b, prg)))
        return shaped(act, batch, join((yield from together(made))))

    def offline_receiver(
        self, ch: Channel, ot: OtPair, act: Activation, z_c: Residues, y_c: Residues, prg: Prg
    ) -> Steps[TableReceiver]:
        window, ar = _parameters(act)
        batch = act.batch_of(z_c)
        if act.batch_of(y_c) != batch:
            raise ParameterError(f"shares of {batch} and {y_c.shape[0]} images")
        t, z, y, made = window.index_c(z_c).reshape(-1), z_c.reshape(-1), y_c.reshape(-1), []
        for part in _parts(z.size):
            indices = sign.prepare_receiver(ot, window.bits, t[part], len(act.knots))
            chosen = select.prepare_receiver(ch, ot, ar, act.coefs, z[part], y[part], prg)
            made.append(_beside(TableReceiver, indices, chosen))
        return shaped(act, batch, join((yield from together(made))))

    # ---- online

    def online_sender(self, ch: Channel, act: Activation, z_s: Residues, material: TableSender) -> Residues:
        window, ar = _parameters(act)
        batch = act.batch_of(z_s)
        kept, count = flat(act, batch, material), batch * act.elements
        z = [z_s - np.uint32(knot % (1 << 32)) if knot else z_s for knot in act.knots]
        patterns = [sign.pattern_rows(window, z_j, j) for j, z_j in enumerate(z)]
        z = [z_j.reshape(-1) for z_j in z]
        y = np.empty(count, np.uint32)
        first = Columns(count, _first(act, ar))
        for rows in blocks(count):  # (1)
            part = rows_of(kept, rows)
            E = [
                sign.encrypt(window.bits, pattern[rows], E_j)
                for pattern, E_j in zip(patterns, part.sign.tables, strict=True)
            ]
            y[rows], opened = select.opening(ar, part.select, act.coefs, [z_j[rows] for z_j in z])
            first.put(rows, E + opened)
        ch.send(first.data)
        columns = select.answer_columns(ar, len(act.knots))
        second = Columns(count, columns, ch.recv(message_size(count, columns)))  # (2)
        for rows in blocks(count):
            select.finish(ar, rows_of(kept.select, rows), y[rows], second.get(rows))
        return y.reshape(z_s.shape)

    def online_receiver(self, ch: Channel, act: Activation, material: TableReceiver) -> None:
        window, ar = _parameters(act)
        batch, J = material.sign.index.shape[0], len(act.knots)
        kept, count = flat(act, batch, material), batch * act.elements
        columns = _first(act, ar)
        first = Columns(count, columns, ch.recv(message_size(count, columns)))  # (1)
        second = Columns(count, select.answer_columns(ar, J))
        for rows in blocks(count):  # (2)
            part, received = rows_of(kept, rows), first.get(rows)
            v = [
                sign.decrypt(window.bits, E_j, part.sign.index, mask)
                for E_j, mask in zip(received[:J], part.sign.masks, strict=True)
            ]
            second.put(rows, select.answer(ar, part.select, received[J:], v))
        ch.send(second.data)

    # ---- what it computes, what it costs

    def simulate(self, act: Activation, z_s: Residues, z_c: Residues) -> Residues:
        window, _ = _parameters(act)
        return window_relu(act.modulus, act.shift, window, act.knots, act.coefs, z_s, z_c)

    def cost(self, act: Activation, batch: int, ot_k: int = DEFAULT_K) -> Cost:
        window, ar = _parameters(act)
        count, J, n = batch * act.elements, len(act.knots), window.bits
        down, up = 0, 0
        for part in _parts(count):
            size = part.stop - part.start
            select_down, select_up = select.offline_bytes(ar, J, size, ot_k)
            down, up = down + select_down, up + select_up + sign.offline_bytes(n, size, ot_k)
        word, per_entry = word_type(n)
        sender_kept, receiver_kept = select.stored_bytes(ar, J)
        return Cost(
            offline=Phase(down, up, 1),
            online=Phase(
                message_size(count, _first(act, ar)), message_size(count, select.answer_columns(ar, J)), 1
            ),
            and_gates=0,
            table_bytes=0,
            sender_stored=count * (sender_kept + J * per_entry * word.itemsize),
            receiver_stored=count * (receiver_kept + 1 + J),
        )


def _beside(material: Callable[[Any, Any], T], sign: Steps[Any], select: Steps[Any]) -> Steps[T]:
    return material(*(yield from together([sign, select])))


def _first(act: Activation, ar: Arithmetic) -> list[Column]:
    """Message (1): E_j for each j, then the opening of the select."""
    assert act.window is not None
    E = Column(1 << act.window.bits, word_type(act.window.bits)[0])
    return [E] * len(act.knots) + select.opening_columns(ar, len(act.knots))


def _parameters(act: Activation) -> tuple[Window, Arithmetic]:
    if act.window is None or not act.modulus.is_ring:
        raise ParameterError("the table protocol needs a window, and the ring 2^32")
    if not act.knots:
        raise ParameterError("an activation without knots has no sign test: its protocol is `rescale`")
    word_type(act.window.bits)  # refuses a window with more bits than a table can have
    return act.window, arithmetic(act.modulus, act.shift)


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, min(start + OFFLINE_PART, count)) for start in range(0, count, OFFLINE_PART))
