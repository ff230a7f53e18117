"""Circuits in the Bristol formats: the text files in which the field exchanges AES, SHA-256 and the like.

Old:      gates wires                           Fashion:  gates wires
          inputs-of-1 inputs-of-2 outputs                 n width-1 ... width-n          inputs
                                                          n width-1 ... width-n          outputs
then, in both, one gate a line: the number of inputs and of outputs, their wires, the operation. Wires 0, 1,
... are the inputs in order, the last ones are the outputs. XOR, AND, INV (or NOT) are in both; Fashion also
has EQ (a constant), EQW (a copy) and MAND (several ANDs at once).

The reader is strict, since a file is somebody else's: a line that is not exactly this, a wire that is set
twice, never, or after its use, or a file beyond the limits below raises ParameterError with the number of the
line. A file is built through `Builder`, so equal gates and constants are folded and it may take fewer ANDs
than it lists.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ParameterError
from .circuit import ONE, ZERO, Builder, Circuit, Op, Wire

__all__ = ["MAX_BYTES", "MAX_GATES", "BristolCircuit", "read_bristol", "read_bristol_file", "write_bristol"]

MAX_GATES = 1 << 22
MAX_BYTES = 1 << 28
MAX_VALUES = 1 << 10  # input or output values in a Fashion header


@dataclass(frozen=True)
class BristolCircuit:
    """A circuit with the widths of its input and output values, in the file's order.

    The garbler's inputs of `circuit` are the garbler's values one after the other, the evaluator's the
    others.
    """

    circuit: Circuit
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_bristol_file(path: Path, garbler: Collection[int] = (0,)) -> BristolCircuit:
    """`read_bristol` of a file. Raises ParameterError for one above 256 MiB or that is no ASCII text."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ParameterError(f"{path} has {size} bytes, the limit is {MAX_BYTES}")
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path} is not ASCII text at byte {error.start}") from None
    return read_bristol(text, garbler)


def read_bristol(text: str, garbler: Collection[int] = (0,)) -> BristolCircuit:
    """Read either format. `garbler` are the numbers of the input values that are the garbler's."""
    lines = _Lines(text)
    gates, wires = lines.integers("the numbers of gates and wires", 2)
    if gates > MAX_GATES or wires > 2 * MAX_GATES:
        raise lines.error(f"{gates} gates and {wires} wires, the limits are {MAX_GATES} and {2 * MAX_GATES}")
    inputs, outputs = _widths(lines)
    if not all(0 <= value < len(inputs) for value in garbler):
        raise ParameterError(f"the garbler's values {sorted(garbler)} of {len(inputs)} input values")
    if sum(inputs) > wires or sum(outputs) > wires:
        raise lines.error(f"{sum(inputs)} inputs and {sum(outputs)} outputs among {wires} wires")
    b = Builder()
    known: list[Wire | None] = [None] * wires
    at = 0
    for value, width in enumerate(inputs):
        known[at : at + width] = b.garbler(width) if value in garbler else b.evaluator(width)
        at += width
    for _ in range(gates):
        _read_gate(b, lines, known)
    lines.finish()
    results = [wire for wire in known if wire is not None]
    if len(results) != wires:
        raise lines.error(f"wire {known.index(None)} is never set")
    return BristolCircuit(b.finish(results[wires - sum(outputs) :]), inputs, outputs)


class _Lines:
    """The lines that are not blank, and where we are."""

    def __init__(self, text: str):
        self._lines = enumerate(text.splitlines(), 1)
        self._number = 0
        self._held: list[str] | None = None

    def next(self, what: str) -> list[str]:
        """The words of the next line."""
        if self._held is not None:
            words, self._held = self._held, None
            return words
        for number, line in self._lines:
            self._number = number
            if words := line.split():
                return words
        raise ParameterError(f"the circuit file ends after line {self._number}, expected {what}")

    def hold(self, words: list[str]) -> None:
        """Give one line back."""
        self._held = words

    def integers(self, what: str, count: int) -> list[int]:
        words = self.next(what)
        if len(words) != count:
            raise self.error(f"expected {what}, got {len(words)} words")
        return [self.integer(word) for word in words]

    def integer(self, word: str) -> int:
        if not (word.isascii() and word.isdigit() and len(word) <= 9):
            raise self.error(f"{word[:20]!r} is not a number of at most 9 digits")
        return int(word)

    def finish(self) -> None:
        for number, line in self._lines:
            self._number = number
            if line.strip():
                raise self.error("there is text after the last gate")

    def error(self, what: str) -> ParameterError:
        return ParameterError(f"circuit file, line {self._number}: {what}")


def _widths(lines: _Lines) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The widths of the input and of the output values. A third line of numbers alone is what makes it
    Fashion."""
    second = [lines.integer(word) for word in lines.next("the widths of the inputs")]
    third = lines.next("a gate or the widths of the outputs")
    if third[-1].isdigit():
        return _values(lines, second, "input"), _values(lines, [lines.integer(w) for w in third], "output")
    lines.hold(third)
    if len(second) != 3:
        raise lines.error(
            f"expected two numbers of inputs and one of outputs above, got {len(second)} numbers"
        )
    return tuple(second[:2]), tuple(second[2:])


def _values(lines: _Lines, numbers: list[int], kind: str) -> tuple[int, ...]:
    count, *widths = numbers
    if count > MAX_VALUES:
        raise lines.error(f"{count} {kind} values, the limit is {MAX_VALUES}")
    if len(widths) != count:
        raise lines.error(f"{count} {kind} values, but {len(widths)} widths")
    return tuple(widths)


ARITY = {"XOR": (2, 1), "AND": (2, 1), "INV": (1, 1), "NOT": (1, 1), "EQ": (1, 1), "EQW": (1, 1)}


def _read_gate(b: Builder, lines: _Lines, known: list[Wire | None]) -> None:
    *words, operation = lines.next("a gate")
    numbers = [lines.integer(word) for word in words]
    if len(numbers) < 2 or len(numbers) != 2 + numbers[0] + numbers[1]:
        raise lines.error(f"a gate of {len(numbers)} numbers, which do not start with how many wires follow")
    arity = (2 * numbers[1], numbers[1]) if operation == "MAND" else ARITY.get(operation)
    if arity is None:
        raise lines.error(f"unknown operation {operation[:20]!r}; known: {', '.join([*ARITY, 'MAND'])}")
    if tuple(numbers[:2]) != arity:
        raise lines.error(
            f"{operation} has {arity[0]} inputs and {arity[1]} outputs, not {numbers[0]} and {numbers[1]}"
        )
    sources, targets = numbers[2 : 2 + arity[0]], numbers[2 + arity[0] :]
    if operation == "EQ":
        if sources[0] > 1:
            raise lines.error(f"EQ sets a wire to 0 or 1, not to {sources[0]}")
        results = [ONE if sources[0] else ZERO]
    else:
        results = _apply(b, operation, [_source(lines, known, wire) for wire in sources])
    for target, result in zip(targets, results, strict=True):
        if target >= len(known) or known[target] is not None:
            problem = "is set already" if target < len(known) else f"is not below {len(known)}"
            raise lines.error(f"wire {target} {problem}")
        known[target] = result


def _apply(b: Builder, operation: str, x: list[Wire]) -> list[Wire]:
    if operation == "XOR":
        return [b.xor(*x)]
    if operation in ("AND", "MAND"):
        half = len(x) // 2
        return [b.and_(x_i, y_i) for x_i, y_i in zip(x[:half], x[half:], strict=True)]
    return x if operation == "EQW" else [b.inv(x[0])]


def _source(lines: _Lines, known: list[Wire | None], wire: int) -> Wire:
    found = known[wire] if wire < len(known) else None
    if found is None:
        raise lines.error(f"wire {wire} is read before it is set")
    return found


def write_bristol(circuit: Circuit) -> str:
    """A circuit in Bristol Fashion: an input value for each group that has inputs, one output value."""
    groups = [n for n in (circuit.garbler_inputs, circuit.fixed_inputs, circuit.evaluator_inputs) if n]
    wire_in = list(range(circuit.slots))  # which of the file's wires is in a slot
    lines = []
    wires = circuit.inputs
    for gate, out in zip(_written_gates(circuit), circuit.out.tolist(), strict=True):
        operation, sources = gate
        names = [wire_in[slot] for slot in sources] or [0]
        lines.append(f"{len(names)} 1 {' '.join(map(str, names))} {wires} {operation}")
        wire_in[out] = wires
        wires += 1
    for slot in circuit.outputs.tolist():  # the outputs have to be the last wires
        lines.append(f"1 1 {wire_in[slot]} {wires} EQW")
        wires += 1
    header = [
        f"{len(lines)} {wires}",
        f"{len(groups)} {' '.join(map(str, groups))}",
        f"1 {circuit.outputs.size}",
    ]
    return "\n".join([*header, "", *lines, ""])


def _written_gates(circuit: Circuit) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Operation and source slots; CLEAR is the constant 0."""
    for op, a, b in zip(circuit.op.tolist(), circuit.a.tolist(), circuit.b.tolist(), strict=True):
        if op in (Op.XOR, Op.AND):
            yield Op(op).name, (a, b)
        else:
            yield ("INV", (a,)) if op == Op.INV else ("EQ", ())
