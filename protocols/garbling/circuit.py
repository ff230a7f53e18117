"""Boolean circuits of XOR, AND and INV, written once as functions of wires, interpreted by several machines.

A circuit is built by calling `Builder.xor`, `Builder.and_` and `Builder.inv` on wires; the blocks of
`arithmetic` do nothing else. `finish` freezes it as flat arrays, which the garbler and the evaluator
(`halfgates`), the plain evaluator (`plain`) and the gate counter (`Circuit.ands`) walk in order. With
free-XOR only AND costs anything, so the builder works on ANDs: constants are folded, equal gates are built
once, and an inversion is a mark on a wire that becomes a gate only where an AND or an output needs it. A gate
that no output needs stays: what is counted is what was written.

A finished circuit names slots, not wires: a slot is reused as soon as the wire in it has been read for the
last time, so an interpreter needs memory for the live wires only, whatever the size of the circuit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError

__all__ = ["ONE", "ZERO", "Builder", "Circuit", "Op", "Wire", "Word"]

Wire = NewType("Wire", int)  # twice a wire's number, plus one where the wire is read inverted
Word = list[Wire]  # low bit first

ZERO, ONE = Wire(0), Wire(1)  # wire number 0 is the constant 0


class Op(IntEnum):
    """What a gate does with slots a and b. INV ignores b; CLEAR, the constant 0, ignores both."""

    XOR, AND, INV, CLEAR = range(4)


@dataclass(frozen=True, eq=False)
class Circuit:
    """A finished circuit: gate i sets slot out[i] (it may be a[i] or b[i]) to op[i] of slots a[i], b[i].

    The inputs lie in slots 0, 1, ...: first those that the garbler chooses online, then those that the
    garbler fixes when it garbles (no label of theirs is ever sent), then the evaluator's. `outputs` are the
    slots that hold the result after the last gate. AND gates are numbered in order of `op`; that number
    decides a gate's tweaks and tables.
    """

    op: NDArray[np.uint8]
    a: NDArray[np.int32]
    b: NDArray[np.int32]
    out: NDArray[np.int32]
    slots: int
    garbler_inputs: int
    fixed_inputs: int
    evaluator_inputs: int
    outputs: NDArray[np.int32]

    @property
    def ands(self) -> int:
        """The number of AND gates: the only ones that cost tables and hashing."""
        return int(np.count_nonzero(self.op == Op.AND))

    @property
    def inputs(self) -> int:
        return self.garbler_inputs + self.fixed_inputs + self.evaluator_inputs


class Builder:
    """Makes one circuit. Gates come out in the order in which they were asked for."""

    def __init__(self) -> None:
        self._gates: list[tuple[int, int, int]] = [(Op.CLEAR, 0, 0)]  # wire 0; inputs are (_INPUT, kind, -)
        self._inputs: tuple[list[int], list[int], list[int]] = ([], [], [])
        self._known: dict[tuple[int, int, int], Wire] = {}

    def garbler(self, width: int) -> Word:
        """`width` inputs that the garbler chooses online."""
        return self._add_inputs(0, width)

    def fixed(self, width: int) -> Word:
        """`width` inputs that the garbler chooses when it garbles, differently for every instance."""
        return self._add_inputs(1, width)

    def evaluator(self, width: int) -> Word:
        """`width` inputs of the evaluator."""
        return self._add_inputs(2, width)

    def wire(self, bit: int) -> Wire:
        """A constant as an ordinary wire: gates on it are garbled like any others, not folded away."""
        wire = self._known.get((Op.CLEAR, 0, 0))
        if wire is None:
            wire = self._known[Op.CLEAR, 0, 0] = self._append(Op.CLEAR, 0, 0)
        return self.inv(wire) if bit else wire

    def xor(self, x: Wire, y: Wire) -> Wire:
        inverted = (x ^ y) & 1
        i, j = sorted((x >> 1, y >> 1))
        if i == j:
            return Wire(inverted)
        if i == 0:
            return Wire(2 * j + inverted)
        return Wire(self._gate(Op.XOR, i, j) ^ inverted)

    def and_(self, x: Wire, y: Wire) -> Wire:
        if x > y:
            x, y = y, x
        if x <= ONE:
            return y if x == ONE else ZERO
        if x >> 1 == y >> 1:
            return x if x == y else ZERO
        return self._gate(Op.AND, x, y)

    def inv(self, x: Wire) -> Wire:
        return Wire(x ^ 1)

    def finish(self, outputs: Sequence[Wire]) -> Circuit:
        """Freeze the circuit. Raises ParameterError where an output is not a wire of this builder."""
        if any(not 0 <= w >> 1 < len(self._gates) for w in outputs):
            raise ParameterError(f"an output is not one of the {len(self._gates)} wires of this circuit")
        return _allocate(*self._lower(outputs), self._inputs)

    def _append(self, op: int, x: int, y: int) -> Wire:
        self._gates.append((op, x, y))
        return Wire(2 * (len(self._gates) - 1))

    def _gate(self, op: int, x: int, y: int) -> Wire:
        wire = self._known.get((op, x, y))
        if wire is None:
            wire = self._known[op, x, y] = self._append(op, x, y)
        return wire

    def _add_inputs(self, kind: int, width: int) -> Word:
        word = [self._append(_INPUT, kind, 0) for _ in range(width)]
        self._inputs[kind].extend(wire >> 1 for wire in word)
        return word

    def _lower(self, outputs: Sequence[Wire]) -> tuple[list[tuple[int, int, int, int]], list[int]]:
        """All gates, with inversions as gates: (op, a, b, out), each wire set once."""
        gates: list[tuple[int, int, int, int]] = []
        inverse: dict[int, int] = {}

        def read(wire: int) -> int:
            number, fresh = wire >> 1, len(self._gates) + len(inverse)
            if not wire & 1:
                return number
            if number not in inverse:
                gates.append((Op.INV, number, number, fresh))
                inverse[number] = fresh
            return inverse[number]

        if any(wire <= ONE for wire in outputs):
            gates.append((Op.CLEAR, 0, 0, 0))
        for number, (op, x, y) in enumerate(self._gates):
            if number and op != _INPUT:
                operands = (read(x), read(y)) if op == Op.AND else (x, y)
                gates.append((op, *operands, number))
        return gates, [read(wire) for wire in outputs]


_INPUT = -1


def _allocate(
    gates: list[tuple[int, int, int, int]], outputs: list[int], inputs: tuple[list[int], list[int], list[int]]
) -> Circuit:
    """Put wires into slots; a slot is free again after the gate that reads its wire for the last time."""
    order = [number for kind in inputs for number in kind]
    slot = {number: i for i, number in enumerate(order)}
    last = dict.fromkeys(order, -1)
    for i, (op, x, y, out) in enumerate(gates):
        last[out] = i
        if op != Op.CLEAR:
            last[x] = last[y] = i
    last.update(dict.fromkeys(outputs, len(gates)))
    free = [slot[number] for number in reversed(order) if last[number] < 0]
    slots = len(order)
    rows = np.zeros((4, len(gates)), np.int32)
    for i, (op, x, y, out) in enumerate(gates):
        rows[0, i] = op
        if op != Op.CLEAR:
            rows[1:3, i] = slot[x], slot[y]
            free.extend(slot[number] for number in {x, y} if last[number] == i)
        if not free:
            free.append(slots)
            slots += 1
        rows[3, i] = slot[out] = free.pop()
        if last[out] == i:
            free.append(slot[out])
    op, (a, b, out) = rows[0].astype(np.uint8), rows[1:]
    result = np.array([slot[number] for number in outputs], np.int32)
    for array in (op, a, b, out, result):
        array.setflags(write=False)
    return Circuit(op, a, b, out, slots, len(inputs[0]), len(inputs[1]), len(inputs[2]), result)
