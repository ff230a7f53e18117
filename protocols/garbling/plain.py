"""The plain evaluator: a circuit on bits in the clear, for all instances at once. What garbling is tested
against."""

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .circuit import Circuit, Op

__all__ = ["evaluate_plain", "from_bits", "to_bits"]

Bits = NDArray[np.uint8]


def evaluate_plain(circuit: Circuit, garbler: Bits, fixed: Bits, evaluator: Bits) -> Bits:
    """Bits (wires, instances) of each of the three groups of inputs to bits (outputs, instances)."""
    instances = garbler.shape[1]
    for bits, wires in ((garbler, circuit.garbler_inputs), (fixed, circuit.fixed_inputs)):
        if bits.shape != (wires, instances):
            raise ParameterError(f"expected bits of shape {(wires, instances)}, got {bits.shape}")
    if evaluator.shape != (circuit.evaluator_inputs, instances):
        raise ParameterError(
            f"expected bits of shape {(circuit.evaluator_inputs, instances)}, got {evaluator.shape}"
        )
    slots = np.zeros((circuit.slots, instances), np.uint8)
    slots[: circuit.inputs] = np.concatenate([garbler, fixed, evaluator])
    gates = zip(
        circuit.op.tolist(), circuit.a.tolist(), circuit.b.tolist(), circuit.out.tolist(), strict=True
    )
    for op, a, b, out in gates:
        if op == Op.XOR:
            np.bitwise_xor(slots[a], slots[b], out=slots[out])
        elif op == Op.AND:
            np.bitwise_and(slots[a], slots[b], out=slots[out])
        elif op == Op.INV:
            np.bitwise_xor(slots[a], 1, out=slots[out])
        else:
            slots[out] = 0
    return slots[circuit.outputs]


def to_bits(values: NDArray[np.unsignedinteger], width: int) -> Bits:
    """Values (..., n) to their low `width` bits (..., width, n): wire i holds bit i."""
    shifts = np.arange(width, dtype=values.dtype)[:, None]
    return ((values[..., None, :] >> shifts) & 1).astype(np.uint8)


def from_bits(bits: Bits) -> NDArray[np.uint64]:
    """Bits (..., width, n), width at most 64, to values (..., n): the inverse of `to_bits`."""
    shifts = np.arange(bits.shape[-2], dtype=np.uint64)[:, None]
    values: NDArray[np.uint64] = np.bitwise_or.reduce(bits.astype(np.uint64) << shifts, axis=-2)
    return values
