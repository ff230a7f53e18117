"""A ReLU protocol on the elements that a mask keeps (masks.py); the others are shifted alone, or dropped.

The kept elements are gathered, go through the ReLU protocol as one layer of that many channels with one
position each, and are scattered; so do the shifted ones. Both run in the same round trip:

            client (receiver)                          server (sender)
 (1)                                            ←   m of the rescale
 (2)                                            ↔   the ReLU protocol
 (3)  P of the rescale, kept back until now     →

Where there is nothing to shift, the client's z_c - y_c is sent offline, and y_s = z_s + z_c - y_c is local.
What is dropped is zero in both shares.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circa.errors import ParameterError
from circa.masks import Mask, Places, gather, scatter
from circa.program import Activate, Program
from circa.protocols import relu
from circa.protocols.channel import Channel
from circa.protocols.ot import OtPair
from circa.protocols.ot.softspoken import DEFAULT_K
from circa.protocols.prg import Prg
from circa.protocols.relu import Activation, Cost, Phase, Relu
from circa.protocols.relu.rescale import Rescale
from circa.protocols.relu.square import Square
from circa.protocols.shares import recv_residues, residue_bytes, send_residues
from circa.protocols.steps import Steps, together

__all__ = ["Masked", "MaskedMaterial", "protocol"]

Residues = NDArray[np.uint32]


def protocol(program: Program, op: Activate) -> Relu:
    """What runs an activation of the program. Raises ParameterError where its mask does not fit."""
    name = program.protocol(op)
    if op.square:
        if op.mask is not None:
            raise ParameterError("a square takes no mask")
        return Square()
    if op.mask is None:
        return relu.by_name(name)
    return _masked(name, op.activation(program.modulus), op.mask)


@lru_cache(maxsize=256)
def _masked(name: str, act: Activation, mask: Mask) -> "Masked":
    return Masked(relu.by_name(name), act, mask)


@dataclass(frozen=True)
class MaskedMaterial:
    """Of either party: the ReLU protocol's, and that of the others; None for no elements."""

    kept: Any
    others: Any


class Masked:
    """`protocol` on the elements of `act` that the mask keeps; implements `Relu` for that activation."""

    def __init__(self, protocol: Relu, act: Activation, mask: Mask):
        if not act.knots:
            raise ParameterError("an activation without a sign test takes no mask")
        kept = mask.kept((act.elements,))
        self.name = protocol.name
        self._protocol = protocol
        self._kept: Places = np.flatnonzero(kept)
        self._others: Places = np.flatnonzero(~kept if mask.others == "identity" else np.zeros_like(kept))
        self._rescale = Rescale() if act.shift else _Carry()
        self._kept_act = _part(act, self._kept) if self._kept.size else None
        self._others_act = _part(act, self._others, linear=True) if self._others.size else None

    # ---- offline

    def offline_sender(
        self, ch: Channel, ot: OtPair, act: Activation, batch: int, prg: Prg
    ) -> Steps[MaskedMaterial]:
        others = kept = None
        if self._others_act is not None:
            others = self._rescale.offline_sender(ch, ot, self._others_act, batch, prg)
        if self._kept_act is not None:
            kept = self._protocol.offline_sender(ch, ot, self._kept_act, batch, prg)
        return (yield from _both(kept, others))

    def offline_receiver(
        self, ch: Channel, ot: OtPair, act: Activation, z_c: Residues, y_c: Residues, prg: Prg
    ) -> Steps[MaskedMaterial]:
        """As for every `Relu`; `y_c` is zero where the mask says so (`Mask.clear`)."""
        others = kept = None
        if self._others_act is not None:
            shares = (gather(z_c, self._others), gather(y_c, self._others))
            others = self._rescale.offline_receiver(ch, ot, self._others_act, *shares, prg)
        if self._kept_act is not None:
            shares = (gather(z_c, self._kept), gather(y_c, self._kept))
            kept = self._protocol.offline_receiver(ch, ot, self._kept_act, *shares, prg)
        return (yield from _both(kept, others))

    # ---- online

    def online_sender(
        self, ch: Channel, act: Activation, z_s: Residues, material: MaskedMaterial
    ) -> Residues:
        act.batch_of(z_s)
        y_s, others = np.zeros(z_s.shape, np.uint32), None
        if self._others_act is not None:  # (1)
            others = self._rescale.open(ch, self._others_act, gather(z_s, self._others), material.others)
        if self._kept_act is not None:  # (2)
            kept = gather(z_s, self._kept)
            scatter(self._protocol.online_sender(ch, self._kept_act, kept, material.kept), self._kept, y_s)
        if self._others_act is not None and others is not None:  # (3)
            self._rescale.close(ch, self._others_act, others)
            scatter(others, self._others, y_s)
        return y_s

    def online_receiver(self, ch: Channel, act: Activation, material: MaskedMaterial) -> None:
        answer = None
        if self._others_act is not None:  # (1)
            answer = self._rescale.answer(ch, self._others_act, material.others)
        if self._kept_act is not None:  # (2)
            self._protocol.online_receiver(ch, self._kept_act, material.kept)
        if answer is not None:  # (3)
            ch.send(answer)

    # ---- what it computes, what it costs

    def simulate(self, act: Activation, z_s: Residues, z_c: Residues) -> Residues:
        act.batch_of(z_s)
        y = np.zeros(z_s.shape, np.uint32)
        parts = (
            (self._protocol, self._kept_act, self._kept),
            (self._rescale, self._others_act, self._others),
        )
        for run, part, places in parts:
            if part is not None:
                scatter(run.simulate(part, gather(z_s, places), gather(z_c, places)), places, y)
        return y

    def cost(self, act: Activation, batch: int, ot_k: int = DEFAULT_K) -> Cost:
        costs = []
        if self._others_act is not None:
            costs.append(self._rescale.cost(self._others_act, batch, ot_k))
        if self._kept_act is not None:
            costs.append(self._protocol.cost(self._kept_act, batch, ot_k))
        online = [cost.online for cost in costs]
        offline = [cost.offline for cost in costs]
        return Cost(
            offline=Phase(
                sum(p.down for p in offline),
                sum(p.up for p in offline),
                max((p.rounds for p in offline), default=0),
            ),
            online=Phase(
                sum(p.down for p in online),
                sum(p.up for p in online),
                max((p.rounds for p in online), default=0),  # the rescale's goes with the other
            ),
            and_gates=sum(cost.and_gates for cost in costs),
            table_bytes=sum(cost.table_bytes for cost in costs),
            sender_stored=sum(cost.sender_stored for cost in costs),
            receiver_stored=sum(cost.receiver_stored for cost in costs),
        )


def _part(act: Activation, places: Places, linear: bool = False) -> Activation:
    """The layer of the elements at `places`, each with its channel's gain; or their shift alone."""
    one = replace(act, channels=places.size, positions=1, window=None)
    if linear:
        return replace(one, knots=(), coefs=())
    window = act.window
    if window is not None and len(window.gain) > 1:
        channels = places // act.positions
        gain, *positive = (
            tuple(np.array(row, np.int64)[channels].tolist()) for row in (window.gain, *window.positive)
        )
        window = replace(window, gain=gain, positive=tuple(positive))
    return replace(one, window=window)


def _both(kept: Steps[Any] | None, others: Steps[Any] | None) -> Steps[MaskedMaterial]:
    """The material of both parts, or None for a part without elements; made side by side."""
    made = iter((yield from together([run for run in (others, kept) if run is not None])))
    carried = None if others is None else next(made)
    return MaskedMaterial(None if kept is None else next(made), carried)


class _Carry:
    """y = z without a shift, in the steps of `Rescale`: the receiver's z_c - y_c, masked by y_c, moves to
    the sender offline, l bits an element; nothing online.
    """

    name = "carry"

    def offline_sender(
        self, ch: Channel, ot: OtPair, act: Activation, batch: int, prg: Prg
    ) -> Steps[Residues]:
        yield  # nothing in step 0
        return recv_residues(ch, act.shape(batch), act.modulus).copy()

    def offline_receiver(
        self, ch: Channel, ot: OtPair, act: Activation, z_c: Residues, y_c: Residues, prg: Prg
    ) -> Steps[None]:
        yield  # nothing in step 0
        send_residues(ch, act.modulus.sub(z_c, y_c), act.modulus)

    def open(self, ch: Channel, act: Activation, z_s: Residues, material: Residues) -> Residues:
        return act.modulus.add(z_s, material)

    def close(self, ch: Channel, act: Activation, y: Residues) -> None:
        """Nothing is missing."""

    def answer(self, ch: Channel, act: Activation, material: None) -> None:
        """Nothing to send."""

    def simulate(self, act: Activation, z_s: Residues, z_c: Residues) -> Residues:
        return act.modulus.add(z_s, z_c)

    def cost(self, act: Activation, batch: int, ot_k: int = DEFAULT_K) -> Cost:
        count = batch * act.elements
        moved = Phase(0, residue_bytes(count, act.modulus), 0)
        return Cost(moved, Phase(0, 0, 0), 0, 0, 4 * count, 0)
