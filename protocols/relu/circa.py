"""Circa's ReLU: a garbled sign test that gives an arithmetic share, and one Beaver triple. Implements `Relu`.

Semi-honest. [GJRG21] Ghodsi, Jha, Reagen, Garg. Circa: Stochastic ReLUs for Private Deep Learning. NeurIPS
2021, figure 2 and section 3: y = v * w mod M with v the sign test of z (published.py) and w = floor(z / 2^f).
The exact rescale is ours, truncation.py has its notation and correctness: A, n, Q; units. Prime and ring.

            sender = garbler: z_s                   receiver = evaluator: z_c, y_c
 offline    triple a_s, b_s, c_s             ↔      a_c, b_c, c_c                   a b = c, shared mod M
            u1;  p_s                         ↔      p_c,                            p_s + p_c = n_c u1 by COT
            tables and permute bits          →      tables; labels of z_c by COT    the circuit gives v - b_s
 (1)        eps_s = A_s + p_s - a_s
            D1 = n_s Q - u1;  labels of z_s  →      v_c = v - b_s from the circuit,  dlt = v_c - b_c
 (2)                                                eps_c = A_c + p_c + n_c D1 - a_c,  eps = eps_s + eps_c
                           ←  eps_c, dlt, P         P = c_c + eps v_c + dlt a_c - y_c
 output     y_s = c_s + eps b_s + dlt a_s + P       nothing: y_c was chosen offline

That is Beaver's multiplication for eps = w - a and dlt = v - b (b_c + dlt = v_c), in one message each way:
the receiver's share was chosen beforehand. The circuit's mask, Circa's r, is b_s: uniform and known to the
sender alone, as r must be, and then the sender's share b_s - b_s of dlt is 0 and is not sent. For f = 0: A =
z, and n, Q, u1, p, D1 fall away.

What is opened: eps is masked by the peer's share of a, dlt by b_c, v_c by b_s, P by y_c; D1 by u1, as in
rescale.py. Bytes an element, one round trip: 16 labels + l bits (f > 0: and a unit) down, 3 l bits up.
"""

from dataclasses import dataclass

import numpy as np

from ..beaver import make_triples, triple_correction_bytes, triple_rounds
from ..channel import Channel, recv_array, send_array
from ..errors import CheckFailed, ParameterError
from ..garbling import yao
from ..garbling.relu_circuits import share_choices
from ..ot import OtPair
from ..ot.products import product_bytes
from ..ot.softspoken import DEFAULT_K, extension_bytes
from ..packing import pack, packed_size, unpack
from ..prg import Prg
from ..shares import Modulus
from ..steps import Steps
from . import garbled, knots, truncation
from .activation import Activation, Cost, Phase
from .arithmetic import Arithmetic, Mask, Residues, Units, arithmetic, as_mask, widen
from .columns import Column, Columns, blocks, message_size
from .published import SignTest
from .simulate import rescaled

__all__ = ["Circa", "CircaReceiver", "CircaSender"]


@dataclass(frozen=True)
class CircaSender:
    """The triple's half, u1 and p_s (None for f = 0): (batch, elements)."""

    circuit: garbled.Garbler
    a: Residues
    b: Residues
    c: Residues
    u1: Units | None
    p: Units | None


@dataclass(frozen=True)
class CircaReceiver:
    """W = A_c + p_c - a_c, C = c_c - y_c, n_c as a mask, the permute words of v_c: (batch, elements)."""

    circuit: garbled.Evaluator
    permute: Residues
    W: Residues
    a: Residues
    b: Residues
    C: Residues
    n_c: Mask | None


@dataclass(frozen=True)
class Circa:
    """The protocol of this name, with this sign test. It has no state."""

    name: str
    test: SignTest

    # ---- offline

    def offline_sender(
        self, ch: Channel, ot: OtPair, act: Activation, batch: int, prg: Prg
    ) -> Steps[CircaSender]:
        act, ar = self._parameters(act)
        shape, width = (batch, act.elements), act.modulus.bits
        triples = yield from make_triples(ch, ot, 0, act.modulus, shape, prg)
        yield
        a, b, c = triples.spend()
        u1 = p = None
        if act.shift:
            u1 = ar.uniform_units(prg, shape)
            rescale = ot.sender.extend(u1.size)
        fixed = share_choices(b, act.modulus)
        circuit, permute = yield from garbled.garble_layer(ch, ot, self.test.circuit(act), fixed, prg)
        if u1 is not None:
            p = truncation.send_units(ch, ar, rescale, u1).reshape(shape)
        send_array(ch, pack(garbled.words(permute, width), width))
        return CircaSender(circuit, a, b, c, u1, p)

    def offline_receiver(
        self, ch: Channel, ot: OtPair, act: Activation, z_c: Residues, y_c: Residues, prg: Prg
    ) -> Steps[CircaReceiver]:
        inner, ar = self._parameters(act)
        if act.batch_of(z_c) != act.batch_of(y_c):
            raise ParameterError(f"shares of {z_c.shape[0]} and {y_c.shape[0]} images")
        shape, modulus = (len(z_c), inner.elements), act.modulus
        z = knots.spread_receiver(act, z_c).reshape(shape)
        y = knots.spread_result(act, y_c, prg).reshape(shape)
        triples = yield from make_triples(ch, ot, 1, modulus, shape, prg)
        yield
        a, b, c = triples.spend()
        W, n_c = truncation.receiver_terms(ar, z)
        ar.sub_(W, a)
        if n_c is not None:
            rescale = ot.receiver.extend(n_c.reshape(-1))
        bits = self.test.receiver_bits(inner, z)
        circuit = yield from garbled.receive_layer(ch, ot, self.test.circuit(inner), bits)
        if n_c is not None:
            ar.add_(W, ar.lift(truncation.recv_units(ch, ar, rescale)).reshape(shape))
        permute = unpack(recv_array(ch, np.uint8, packed_size(z.size, modulus.bits)), z.size, modulus.bits)
        return CircaReceiver(
            circuit,
            permute.astype(np.uint32).reshape(shape),
            W,
            a,
            b,
            modulus.sub(c, y),
            None if n_c is None else as_mask(n_c),
        )

    # ---- online

    def online_sender(self, ch: Channel, act: Activation, z_s: Residues, material: CircaSender) -> Residues:
        inner, ar = self._parameters(act)
        z = knots.spread_sender(act, z_s).reshape(len(z_s), -1)
        if material.a.shape != z.shape:
            raise ParameterError(f"material of shape {material.a.shape} for a share of shape {z_s.shape}")
        a, b, c = (x.reshape(-1) for x in (material.a, material.b, material.c))
        u1, p = (None if x is None else x.reshape(-1) for x in (material.u1, material.p))
        eps, y, flat = np.empty_like(a), np.empty_like(a), z.reshape(-1)
        first = Columns(z.size, _down(ar))
        for rows in blocks(z.size):  # (1)
            eps[rows], D1 = truncation.sender_terms(ar, flat[rows])
            ar.sub_(eps[rows], a[rows])
            columns = [eps[rows]]
            if D1 is not None and u1 is not None and p is not None:
                ar.add_(eps[rows], ar.lift(p[rows]))
                ar.sub_units_(D1, u1[rows])
                columns.append(ar.reduce_units(D1))
            first.put(rows, columns)
        ch.send(first.data)
        garbled.send_layer(ch, self.test.circuit(inner), material.circuit, self.test.sender_bits(inner, z))
        second = Columns(z.size, _up(ar), ch.recv(message_size(z.size, _up(ar))))  # (2)
        for rows in blocks(z.size):
            eps_c, dlt, P = (truncation.checked(ar, column) for column in second.get(rows))
            product = _inner(ar.modulus, ar.modulus.add(eps[rows], eps_c), b[rows], dlt, a[rows])
            y[rows] = ar.modulus.add(ar.modulus.add(c[rows], P), product)
        return knots.gather(act, y.reshape(inner.shape(len(z))))

    def online_receiver(self, ch: Channel, act: Activation, material: CircaReceiver) -> None:
        act, ar = self._parameters(act)
        if material.a.shape[1:] != (act.elements,):
            raise ParameterError(
                f"material of shape {material.a.shape} for a layer of {act.elements} elements"
            )
        size, modulus, circuit = material.a.size, act.modulus, self.test.circuit(act)
        first = Columns(size, _down(ar), ch.recv(message_size(size, _down(ar))))  # (1)
        v = material.permute.copy()
        for at, colours in garbled.evaluate_layer(ch, circuit, material.circuit, act.elements):
            v[:, at] ^= garbled.words(colours, modulus.bits)
        if int(v.max()) >= modulus.value:
            raise CheckFailed(f"the peer's circuit gives a share that is not below {modulus.value}")
        v, W, a, b, C = (x.reshape(-1) for x in (v, material.W, material.a, material.b, material.C))
        n_c = None if material.n_c is None else material.n_c.reshape(-1)
        second = Columns(size, _up(ar))
        for rows in blocks(size):  # (2)
            eps_s, *opened = (truncation.checked(ar, column) for column in first.get(rows))
            eps_c, dlt = W[rows], modulus.sub(v[rows], b[rows])
            if n_c is not None:
                eps_c = modulus.add(eps_c, ar.lift(opened[0] & widen(n_c[rows], opened[0].dtype)))
            eps = modulus.add(eps_s, eps_c)
            product = _inner(modulus, eps, v[rows], dlt, a[rows])
            second.put(rows, [eps_c, dlt, modulus.add(C[rows], product)])
        ch.send(second.data)

    # ---- what it computes, what it costs

    def simulate(self, act: Activation, z_s: Residues, z_c: Residues) -> Residues:
        inner, _ = self._parameters(act)
        z_s, z_c = knots.spread_sender(act, z_s), knots.spread_receiver(act, z_c)
        w = rescaled(act.modulus, act.shift, z_s, z_c)
        return knots.gather(act, w * self.test.drelu(inner, z_s, z_c))

    def cost(self, act: Activation, batch: int, ot_k: int = DEFAULT_K) -> Cost:
        act, ar = self._parameters(act)
        circuit, count, bits = self.test.circuit(act), batch * act.elements, act.modulus.bits
        down, up, rounds = garbled.offline_bytes(circuit, batch, act.elements, ot_k)
        triples = triple_correction_bytes(count, act.modulus) + _triple_choices(count, act.modulus, ot_k)
        down, up, rounds = (
            down + triples + packed_size(count, bits),
            up + triples,
            rounds + triple_rounds(count),
        )
        sender_kept, receiver_kept = garbled.stored_bytes(circuit, batch, act.elements)
        if act.shift:
            down, up = down + product_bytes(count, ar.unit_group), up + extension_bytes(count, ot_k)
            receiver_kept += count
            sender_kept += 2 * ar.unit_dtype.itemsize * count
        return Cost(
            offline=Phase(down, up, rounds),
            online=Phase(
                message_size(count, _down(ar)) + yao.label_bytes(circuit, count),
                message_size(count, _up(ar)),
                1,
            ),
            and_gates=count * circuit.ands,
            table_bytes=yao.table_bytes(circuit, count),
            sender_stored=sender_kept + 12 * count,
            receiver_stored=receiver_kept + 20 * count,
        )

    def _parameters(self, act: Activation) -> tuple[Activation, Arithmetic]:
        """The plain ReLU to run and its arithmetic; checked, so that no message leaves for bad parameters."""
        self.test.circuit(act)
        return knots.plain(act), arithmetic(act.modulus, act.shift)


def _down(ar: Arithmetic) -> list[Column]:
    """Message (1) without the labels: eps_s and, to rescale, D1."""
    eps = Column(ar.modulus.bits, np.dtype(np.uint32))
    return [eps, Column(ar.unit_width, ar.unit_dtype)] if ar.shift else [eps]


def _up(ar: Arithmetic) -> list[Column]:
    """Message (2): eps_c, dlt, P."""
    return [Column(ar.modulus.bits, np.dtype(np.uint32))] * 3


def _inner(modulus: Modulus, x: Residues, y: Residues, z: Residues, w: Residues) -> Residues:
    """x y + z w."""
    if modulus.is_ring:
        return x * y + z * w
    total = np.multiply(x, y, dtype=np.uint64)  # two products of 31-bit residues fit in 63 bits
    total += np.multiply(z, w, dtype=np.uint64)
    total %= np.uint64(modulus.value)
    return total.astype(np.uint32)


def _triple_choices(count: int, modulus: Modulus, ot_k: int) -> int:
    """Bytes each way for the COT choices of the triples."""
    return extension_bytes(modulus.bits * count, ot_k)
