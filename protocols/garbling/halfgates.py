"""Half-gates garbling, one circuit on many instances at once: local mathematics, no channel.

[ZRE15] Zahur, Rosulek, Evans. Two Halves Make a Whole. EUROCRYPT 2015, eprint 2014/756, figure 2.
[GKWY20] the hash H of `hash.py`; garbling with it is secure when no tweak meets two wires under one Δ.

            garbler: zero labels W^0, W^1 = W^0 ⊕ Δ         evaluator: active label W^v
 p, s       p = lsb(W^0), the permute bit                   s = lsb(W^v) = v ⊕ p, the colour
 XOR        c^0 = a^0 ⊕ b^0                                 c = a ⊕ b
 INV        c^0 = a^0 ⊕ Δ                                   c = a
 AND        T_G = H(a^0, j) ⊕ H(a^1, j) ⊕ p_b·Δ
            T_E = H(b^0, j') ⊕ H(b^1, j') ⊕ a^0
            c^0 = H(a^0, j) ⊕ p_a·T_G                       c = H(a, j) ⊕ s_a·T_G
                ⊕ H(b^0, j') ⊕ p_b·(T_E ⊕ a^0)                ⊕ H(b, j') ⊕ s_b·(T_E ⊕ a)

32 bytes an AND and instance; XOR and INV are free. lsb(Δ) = 1, so that the two labels of a wire differ in
colour.

Layout. Labels are uint64 (wires, instances, 2), low word first; tables are uint64 (ANDs, 2, instances, 2),
T_G of gate g in row [g, 0], T_E in [g, 1]. The tweak of row (g, h) and instance i is tweak + (2g +
h)·instances + i.

A fixed input of the garbler and a constant wire have the active label 0, hence the zero label v·Δ: H(·, j)
and H(· ⊕ Δ, j) stay unpredictable for a label that the evaluator knows, so no label has to be sent for them.

Instances are taken BLOCK at a time, each block through the whole circuit, so that live labels stay in cache.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from .. import kernels
from ..errors import ParameterError
from ..hash import FIXED_KEY, sigma
from .circuit import Circuit, Op

__all__ = [
    "BLOCK",
    "ActiveLabels",
    "Tables",
    "ZeroLabels",
    "empty_tables",
    "encode",
    "encode_numpy",
    "evaluate",
    "garble",
    "lowest_bits",
    "lowest_bits_numpy",
]

BLOCK = 8192  # instances; 128 KiB a label

Labels = NDArray[np.uint64]  # (wires, instances, 2)
Tables = NDArray[np.uint64]  # (ANDs, 2, instances, 2)
Bits = NDArray[np.uint8]  # (wires, instances)


@dataclass(frozen=True)
class ZeroLabels:
    """The garbler's side of some wires: the labels that stand for 0. Never sent."""

    blocks: Labels

    def permute_bits(self) -> Bits:
        """p of every wire and instance: a wire's value is its colour XOR p."""
        return lowest_bits(self.blocks)


@dataclass(frozen=True)
class ActiveLabels:
    """The evaluator's side: one label a wire, which it cannot read. What is sent for the garbler's inputs."""

    blocks: Labels

    def colours(self) -> Bits:
        return lowest_bits(self.blocks)


def encode(zero: ZeroLabels, delta: Labels, bits: Bits) -> ActiveLabels:
    """The active labels of these values: W^0 ⊕ v·Δ."""
    if bits.shape != zero.blocks.shape[:2]:
        raise ParameterError(f"labels of shape {zero.blocks.shape[:2]} encode bits of shape {bits.shape}")
    fast = kernels.native()
    if fast is None:
        return ActiveLabels(encode_numpy(zero.blocks, delta, bits))
    out = np.empty_like(zero.blocks, order="C")
    fast.encode(np.ascontiguousarray(zero.blocks), delta, np.ascontiguousarray(bits), out)
    return ActiveLabels(out)


def encode_numpy(zero: Labels, delta: Labels, bits: Bits) -> Labels:
    """The definition of `encode`."""
    return zero ^ _times_delta(bits, delta)


def lowest_bits(blocks: Labels) -> Bits:
    """lsb of every label."""
    fast = kernels.native()
    if fast is None:
        return lowest_bits_numpy(blocks)
    out = np.empty(blocks.shape[:2], np.uint8)
    fast.colours(np.ascontiguousarray(blocks), out)
    return out


def lowest_bits_numpy(blocks: Labels) -> Bits:
    """The definition of `lowest_bits`."""
    return (blocks[..., 0] & np.uint64(1)).astype(np.uint8)


def empty_tables(circuit: Circuit, instances: int) -> Tables:
    """Room for `garble`. It starts with a cache line, so that the native kernel can write past the cache."""
    shape = (circuit.ands, 2, instances, 2)
    size = int(np.prod(shape))
    room = np.empty(size + 8, np.uint64)
    start = -room.ctypes.data % 64 // 8
    return room[start : start + size].reshape(shape)


def garble(
    circuit: Circuit,
    garbler: ZeroLabels,
    fixed: Bits,
    evaluator: ZeroLabels,
    delta: Labels,
    tweak: int,
    out: Tables | None = None,
) -> tuple[Tables, ZeroLabels]:
    """Garbler: the tables to send, in `out` where it is given, and the outputs' zero labels.

    `garbler` and `evaluator` hold the zero labels of those inputs, `fixed` the values of the fixed ones.
    2·ANDs·instances tweaks from `tweak` on are used. Raises ParameterError where a shape does not fit the
    circuit or lsb(Δ) is 0. Large fresh arrays cost page faults: who garbles image after image reuses `out`.
    """
    if not int(delta[0]) & 1:
        raise ParameterError("the free-XOR offset must have lowest bit 1")
    instances = _instances(circuit, garbler.blocks, evaluator.blocks)
    if fixed.shape != (circuit.fixed_inputs, instances):
        raise ParameterError(
            f"expected fixed bits of shape {(circuit.fixed_inputs, instances)}, got {fixed.shape}"
        )
    tables = empty_tables(circuit, instances) if out is None else out
    _check_tables(circuit, tables, instances)
    outputs = np.empty((circuit.outputs.size, instances, 2), np.uint64)
    fast = kernels.native()
    if fast is None:
        _garble_numpy(circuit, garbler.blocks, fixed, evaluator.blocks, delta, tweak, tables, outputs)
    else:
        inputs = map(np.ascontiguousarray, (garbler.blocks, fixed, evaluator.blocks))
        fast.garble(*_arrays(circuit), *inputs, delta, tweak, tables, outputs)
    return tables, ZeroLabels(outputs)


def _garble_numpy(
    circuit: Circuit,
    garbler: Labels,
    fixed: Bits,
    evaluator: Labels,
    delta: Labels,
    tweak: int,
    tables: Tables,
    outputs: Labels,
) -> None:
    """The definition of `garble`: writes tables and outputs."""
    instances = outputs.shape[1]
    for at in _blocks(instances):
        inputs = [*garbler[:, at], *_times_delta(fixed[:, at], delta), *evaluator[:, at]]
        _garble_block(circuit, inputs, delta, tweak + at.start, instances, tables[:, :, at], outputs[:, at])


def evaluate(
    circuit: Circuit, garbler: ActiveLabels, evaluator: ActiveLabels, tables: Tables, tweak: int
) -> ActiveLabels:
    """Evaluator: the outputs' active labels. Raises ParameterError where a shape does not fit the circuit."""
    instances = _instances(circuit, garbler.blocks, evaluator.blocks)
    _check_tables(circuit, tables, instances)
    outputs = np.empty((circuit.outputs.size, instances, 2), np.uint64)
    fast = kernels.native()
    if fast is None:
        _evaluate_numpy(circuit, garbler.blocks, evaluator.blocks, tables, tweak, outputs)
    else:
        mine, theirs = np.ascontiguousarray(garbler.blocks), np.ascontiguousarray(evaluator.blocks)
        tables = np.ascontiguousarray(tables)
        fast.evaluate(*_arrays(circuit), mine, circuit.fixed_inputs, theirs, tweak, tables, outputs)
    return ActiveLabels(outputs)


def _evaluate_numpy(
    circuit: Circuit, garbler: Labels, evaluator: Labels, tables: Tables, tweak: int, outputs: Labels
) -> None:
    """The definition of `evaluate`: writes outputs."""
    instances = outputs.shape[1]
    for at in _blocks(instances):
        fixed = [np.zeros((at.stop - at.start, 2), np.uint64)] * circuit.fixed_inputs
        inputs = [*garbler[:, at], *fixed, *evaluator[:, at]]
        _evaluate_block(circuit, inputs, tables[:, :, at], tweak + at.start, instances, outputs[:, at])


def _garble_block(
    circuit: Circuit, wires: list[Labels], delta: Labels, tweak: int, stride: int, tables: Tables, out: Labels
) -> None:
    size = out.shape[1]
    slots = _slots(circuit, wires, size)
    index = np.arange(size, dtype=np.uint64)
    deltas = np.tile(delta, (size, 1))
    sigma_deltas = sigma(deltas)
    pi = Cipher(algorithms.AES128(FIXED_KEY), modes.ECB()).encryptor()
    s, s_view, h, h_view = _hash_buffers((2, 2, size, 2))  # [zero or one label][half]
    (s0, s1), (h0, h1) = s, h
    s0_a, s0_b = s0
    masks = p_a, p_b = np.empty((2, size, 2), np.uint64)
    terms = term_a, term_b = np.empty((2, size, 2), np.uint64)
    rows = (row for gate in tables for row in gate)
    for op, i, j, k in _gates(circuit):
        a, b, c = wires[i], wires[j], slots[k]
        if op == Op.XOR:
            np.bitwise_xor(a, b, out=c)
        elif op == Op.INV:
            np.bitwise_xor(a, deltas, out=c)
        elif op == Op.CLEAR:
            c.fill(0)
        else:
            TG, TE = next(rows), next(rows)
            _hash_input(a, index, tweak, s0_a)
            _hash_input(b, index, tweak + stride, s0_b)
            tweak += 2 * stride
            np.bitwise_xor(s0, sigma_deltas, out=s1)  # sigma is linear
            pi.update_into(s_view, h_view)
            _mask(a, p_a)
            _mask(b, p_b)
            # H(x^0) ^ H(x^1); the feed-forwards of the two differ by sigma(delta)
            np.bitwise_xor(h0, h1, out=terms)
            np.bitwise_xor(terms, sigma_deltas, out=terms)
            np.bitwise_xor(term_b, a, out=TE)
            np.bitwise_and(p_b, deltas, out=TG)
            np.bitwise_xor(TG, term_a, out=TG)
            # c^0 = H(a^0) ^ p_a TG ^ H(b^0) ^ p_b (TE ^ a^0)
            np.bitwise_and(p_a, TG, out=p_a)
            np.bitwise_and(p_b, term_b, out=p_b)
            np.bitwise_xor(h0, s0, out=h0)
            np.bitwise_xor(h0, masks, out=h0)
            np.bitwise_xor(h0[0], h0[1], out=c)
        wires[k] = c
    for i, slot in enumerate(circuit.outputs.tolist()):
        out[i] = wires[slot]


def _evaluate_block(
    circuit: Circuit, wires: list[Labels], tables: Tables, tweak: int, stride: int, out: Labels
) -> None:
    size = out.shape[1]
    slots = _slots(circuit, wires, size)
    index = np.arange(size, dtype=np.uint64)
    pi = Cipher(algorithms.AES128(FIXED_KEY), modes.ECB()).encryptor()
    s, s_view, h, h_view = _hash_buffers((2, size, 2))
    s_a, s_b = s
    masks = mask_a, mask_b = np.empty((2, size, 2), np.uint64)
    rows = (row for gate in tables for row in gate)
    for op, i, j, k in _gates(circuit):
        a, b, c = wires[i], wires[j], slots[k]
        if op == Op.XOR:
            np.bitwise_xor(a, b, out=c)
        elif op == Op.INV:
            np.copyto(c, a)
        elif op == Op.CLEAR:
            c.fill(0)
        else:
            TG, TE = next(rows), next(rows)
            _hash_input(a, index, tweak, s_a)
            _hash_input(b, index, tweak + stride, s_b)
            tweak += 2 * stride
            pi.update_into(s_view, h_view)
            _mask(a, mask_a)
            _mask(b, mask_b)
            np.bitwise_xor(h, s, out=h)
            # c = H(a) ^ s_a TG ^ H(b) ^ s_b (TE ^ a)
            np.bitwise_xor(TE, a, out=s_b)
            np.bitwise_and(mask_a, TG, out=mask_a)
            np.bitwise_and(mask_b, s_b, out=mask_b)
            np.bitwise_xor(h, masks, out=h)
            np.bitwise_xor(h[0], h[1], out=c)
        wires[k] = c
    for i, slot in enumerate(circuit.outputs.tolist()):
        out[i] = wires[slot]


def _slots(circuit: Circuit, wires: list[Labels], size: int) -> list[Labels]:
    """Room for one block of every slot; `wires`, which holds the inputs, is made as long."""
    slots = list(np.empty((circuit.slots, size, 2), np.uint64))
    wires.extend(slots[circuit.inputs :])
    return slots


def _hash_buffers(shape: tuple[int, ...]) -> tuple[Labels, memoryview, Labels, memoryview]:
    """What pi is applied to, what it gives, and both as bytes; update_into asks for a block of slack."""
    s = np.empty(shape, np.uint64)
    h = np.empty(s.size + 2, np.uint64)
    return s, s.reshape(-1).view(np.uint8).data, h[:-2].reshape(shape), h.view(np.uint8).data


def _hash_input(x: Labels, index: Labels, tweak: int, out: Labels) -> None:
    """sigma(x_i) ^ (tweak + i): H(x, tweak) is pi of that, XOR that."""
    np.bitwise_xor(x[:, 1], index + np.uint64(tweak), out=out[:, 0])
    np.bitwise_xor(x[:, 0], x[:, 1], out=out[:, 1])


def _mask(x: Labels, out: Labels) -> None:
    """All ones where the label's lowest bit is set, else zeros."""
    np.negative(x[:, 0] & np.uint64(1), out=out[:, 0])
    out[:, 1] = out[:, 0]


def _times_delta(bits: Bits, delta: Labels) -> Labels:
    mask = np.uint64(0) - bits.astype(np.uint64)
    out = np.empty((*bits.shape, 2), np.uint64)
    for word in (0, 1):
        np.bitwise_and(mask, delta[word], out=out[..., word])
    return out


def _arrays(circuit: Circuit) -> tuple[object, ...]:
    """A circuit as the native kernels take it."""
    return circuit.op, circuit.a, circuit.b, circuit.out, circuit.slots, circuit.outputs


def _gates(circuit: Circuit) -> Iterator[tuple[int, int, int, int]]:
    return zip(circuit.op.tolist(), circuit.a.tolist(), circuit.b.tolist(), circuit.out.tolist(), strict=True)


def _blocks(instances: int) -> Iterator[slice]:
    for start in range(0, instances, BLOCK):
        yield slice(start, min(start + BLOCK, instances))


def _instances(circuit: Circuit, garbler: Labels, evaluator: Labels) -> int:
    instances = int(garbler.shape[1])
    for blocks, wires in ((garbler, circuit.garbler_inputs), (evaluator, circuit.evaluator_inputs)):
        if blocks.shape != (wires, instances, 2):
            raise ParameterError(f"expected labels of shape {(wires, instances, 2)}, got {blocks.shape}")
    return instances


def _check_tables(circuit: Circuit, tables: Tables, instances: int) -> None:
    shape = (circuit.ands, 2, instances, 2)
    if tables.shape != shape:
        raise ParameterError(f"expected tables of shape {shape}, got {tables.shape}")
