"""Delphi's ReLU: everything in one garbled circuit, exact. Prime and ring. Implements `Relu`.

Semi-honest. [MLSZP20] Mishra, Lehmkuhl, Srinivasan, Zheng, Popa. Delphi. USENIX Security 2020, eprint
2020/050, figure 4 and section 4.2; the circuit is `delphi_relu` of garbling/relu_circuits.py.

            sender = garbler: z_s                   receiver = evaluator: z_c, y_c
 offline    tables, permute bits p          →       tables; labels of z_c, -y_c by COT
 (1)        labels of z_s                   →       colours s of the circuit's outputs
 (2)                                     ←  s
 output     y_s = s XOR p                           nothing: y_c was chosen offline

The circuit computes y - y_c with y = [z >= 0] floor(z / 2^f). It rescales by rewiring: the low f wires of z
go nowhere. 16 l bytes down and l bits up an element, one round trip; 32 (240 - f) bytes of tables mod the
prime, 32 (93 - f) in the ring. Delphi sends output labels of 16 bytes where we send their colours.

The colours are uniform to the receiver, which never learns a permute bit; y_s is masked by y_c. Knots as in
knots.py. `window`, `truncate_bits` and `mode` of the activation are not read: there is no fault.
"""

from dataclasses import dataclass

import numpy as np

from ..channel import Channel, recv_array, send_array
from ..errors import CheckFailed, ParameterError
from ..garbling import yao
from ..garbling.circuit import Circuit
from ..garbling.plain import to_bits
from ..garbling.relu_circuits import delphi_relu
from ..ot import OtPair
from ..ot.softspoken import DEFAULT_K
from ..packing import pack, packed_size, unpack
from ..prg import Prg
from ..steps import Steps
from . import garbled, knots
from .activation import Activation, Cost, Phase
from .arithmetic import Residues

__all__ = ["Delphi", "DelphiReceiver", "DelphiSender"]


@dataclass(frozen=True)
class DelphiSender:
    """`permute`: the permute bits of y_s's l wires, a word an element, (batch, elements)."""

    circuit: garbled.Garbler
    permute: Residues


@dataclass(frozen=True)
class DelphiReceiver:
    circuit: garbled.Evaluator


class Delphi:
    """The protocol `delphi`. It has no state."""

    name = "delphi"

    # ---- offline

    def offline_sender(
        self, ch: Channel, ot: OtPair, act: Activation, batch: int, prg: Prg
    ) -> Steps[DelphiSender]:
        act, circuit = _parameters(act)
        fixed = np.empty((batch, 0, act.elements), np.uint8)
        yield  # nothing in step 0
        kept, permute = yield from garbled.garble_layer(ch, ot, circuit, fixed, prg)
        return DelphiSender(kept, garbled.words(permute, act.modulus.bits))

    def offline_receiver(
        self, ch: Channel, ot: OtPair, act: Activation, z_c: Residues, y_c: Residues, prg: Prg
    ) -> Steps[DelphiReceiver]:
        inner, circuit = _parameters(act)
        if act.batch_of(z_c) != act.batch_of(y_c):
            raise ParameterError(f"shares of {z_c.shape[0]} and {y_c.shape[0]} images")
        minus_y = act.modulus.neg(knots.spread_result(act, y_c, prg))
        inputs = [_bits(inner, knots.spread_receiver(act, z_c)), _bits(inner, minus_y)]
        yield  # nothing in step 0
        return DelphiReceiver(
            (yield from garbled.receive_layer(ch, ot, circuit, np.concatenate(inputs, axis=1)))
        )

    # ---- online

    def online_sender(self, ch: Channel, act: Activation, z_s: Residues, material: DelphiSender) -> Residues:
        inner, circuit = _parameters(act)
        z = knots.spread_sender(act, z_s)
        if material.permute.shape != (len(z), inner.elements):
            raise ParameterError(f"material of shape {material.permute.shape} for a share of {z_s.shape}")
        garbled.send_layer(ch, circuit, material.circuit, _bits(inner, z))  # (1)
        width, p = inner.modulus.bits, material.permute
        s = unpack(recv_array(ch, np.uint8, packed_size(p.size, width)), p.size, width)  # (2)
        y = s.astype(np.uint32).reshape(p.shape) ^ p
        if y.size and int(y.max()) >= inner.modulus.value:
            raise CheckFailed(f"the peer's colours give a residue that is not below {inner.modulus.value}")
        return knots.gather(act, y.reshape(inner.shape(len(z))))

    def online_receiver(self, ch: Channel, act: Activation, material: DelphiReceiver) -> None:
        act, circuit = _parameters(act)
        s = [
            garbled.words(colours, act.modulus.bits)
            for _, colours in garbled.evaluate_layer(ch, circuit, material.circuit, act.elements)  # (1)
        ]
        send_array(ch, pack(np.concatenate(s, axis=1), act.modulus.bits))  # (2)

    # ---- what it computes, what it costs

    def simulate(self, act: Activation, z_s: Residues, z_c: Residues) -> Residues:
        _parameters(act)
        z = act.modulus.add(knots.spread_sender(act, z_s), knots.spread_receiver(act, z_c))
        positive = z < np.uint32(act.modulus.value // 2)
        return knots.gather(act, (z >> np.uint32(act.shift)) * positive)

    def cost(self, act: Activation, batch: int, ot_k: int = DEFAULT_K) -> Cost:
        act, circuit = _parameters(act)
        count = batch * act.elements
        sender_kept, receiver_kept = garbled.stored_bytes(circuit, batch, act.elements)
        return Cost(
            offline=Phase(*garbled.offline_bytes(circuit, batch, act.elements, ot_k)),
            online=Phase(yao.label_bytes(circuit, count), packed_size(count, act.modulus.bits), 1),
            and_gates=count * circuit.ands,
            table_bytes=yao.table_bytes(circuit, count),
            sender_stored=sender_kept + 4 * count,
            receiver_stored=receiver_kept,
        )


def _parameters(act: Activation) -> tuple[Activation, Circuit]:
    return knots.plain(act), delphi_relu(act.modulus, act.shift)


def _bits(act: Activation, x: Residues) -> garbled.Bits:
    """(batch, channels, positions) to bits (batch, l, elements)."""
    return to_bits(x.reshape(len(x), -1), act.modulus.bits)
