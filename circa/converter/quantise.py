"""From real weights and chosen scales to the integer program: rounding to nearest, one operation after the
other.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from circa import program
from circa.errors import CalibrationError, ParameterError
from circa.masks import Mask
from circa.program import Operation, Program
from circa.protocols.linear.noise import choose_parameters
from circa.protocols.relu import WINDOWED
from circa.protocols.shares import Modulus

from . import graph
from .calibrate import Ranges
from .fold import is_power_of_two
from .graph import Node
from .scales import Scales
from .windows import fill, limits

__all__ = ["Quantised", "SignTest", "quantise"]


@dataclass(frozen=True)
class SignTest:
    """How the activations are evaluated: the ReLU protocol and its parameters."""

    relu: str
    bits: int
    mode: str
    margin: float
    per_channel: bool
    truncate_bits: int


@dataclass
class Quantised:
    """The program under construction. `place` is the operation that holds a node's value."""

    modulus: Modulus
    operations: list[Operation]
    weights: dict[str, NDArray[np.int64]]
    place: dict[Node, int]

    def append(self, node: Node, operation: Operation) -> None:
        self.place[node] = len(self.operations)
        self.operations.append(operation)

    def program(self, relu: str, labels: tuple[str, ...]) -> Program:
        return Program(tuple(self.operations), self.modulus, relu, labels)


def quantise(
    nodes: list[Node], ranges: Ranges, scales: Scales, modulus: Modulus, test: SignTest
) -> Quantised:
    result = Quantised(modulus, [], {}, {})
    readers = graph.consumers(nodes)
    for node in nodes:
        emit(node, result, readers, ranges, scales, test)
    return result


def emit(
    node: Node,
    result: Quantised,
    readers: dict[Node, list[Node]],
    ranges: Ranges,
    scales: Scales,
    test: SignTest,
) -> None:
    bits = scales.frac_bits[node]
    common: dict[str, Any] = {
        "name": node.name,
        "inputs": tuple(result.place[x] for x in node.inputs),
        "shape": node.shape,
        "frac_bits": bits,
    }
    match node:
        case graph.Source():
            limit = math.ceil(16 * ranges.largest[node] * 2.0**bits)
            result.append(node, program.Input(**common, limit=min(limit, 1 << 29)))
        case graph.Linear():
            emit_linear(node, common, result, scales)
        case graph.Activate():
            emit_activation(node, common, result, ranges, scales, test)
        case graph.Rescale():
            emit_rescale(node, common, result, scales)
        case graph.Square():
            plain: dict[str, Any] = {"shift": 0, "window": None, "knots": (), "coefs": ()}
            result.append(node, program.Activate(**common, **plain, square=True))
        case graph.Pool():
            # An average is the sum read with more fractional bits: the factor that follows adds them here.
            if len(readers[node]) == 1 and (shift := halvings(readers[node][0])):
                common["frac_bits"] = bits + shift
            result.append(
                node, program.Pool(**common, kernel=node.kernel, stride=node.stride, padding=node.padding)
            )
        case graph.Pad():
            result.append(node, program.Pad(**common, padding=node.padding))
        case graph.Slice():
            result.append(node, program.Slice(**common, start=node.start, stop=node.stop, step=node.step))
        case graph.Reshape():
            result.append(node, program.Reshape(**common))
        case graph.Select():
            result.append(node, program.Select(**common, mask=Mask.of(node.mask.numpy(), "zero")))
        case graph.Scale():
            emit_scale(node, common, result, scales)
        case graph.Add():
            factors = (
                s << (bits - scales.frac_bits[x]) for s, x in zip(node.signs, node.inputs, strict=True)
            )
            result.append(node, program.Add(**common, factors=tuple(factors)))
        case graph.Concat():
            aligned = tuple(align(node, i, bits, result, scales) for i in range(len(node.inputs)))
            result.append(node, program.Concat(**{**common, "inputs": aligned}, dim=node.dim))
        case _:
            raise TypeError(f"{node.name}: no integer form of {type(node).__name__}")


def halvings(node: Node) -> int:
    """q where the node multiplies by 2^-q, else 0."""
    if isinstance(node, graph.Scale) and node.factor > 0 and is_power_of_two(node.factor):
        return max(0, 1 - math.frexp(node.factor)[1])
    return 0


def emit_linear(node: graph.Linear, common: dict[str, Any], result: Quantised, scales: Scales) -> None:
    weight = rounded(node.weight, scales.weight_bits[node])
    bias = rounded(node.bias, scales.frac_bits[node])
    result.weights[f"{node.name}.weight"] = weight
    if bias.any():
        result.weights[f"{node.name}.bias"] = bias
    try:
        parameters = choose_parameters(node.geometry, weight, result.modulus)
    except ParameterError as error:
        raise CalibrationError(f"{node.name}: {error}") from None
    operation = program.Linear(
        **common, geometry=node.geometry, weight_bits=scales.weight_bits[node], parameters=parameters
    )
    result.append(node, operation)


def rounded(values: Tensor, bits: int) -> NDArray[np.int64]:
    scaled: NDArray[np.float64] = values.double().numpy() * 2.0**bits
    return np.rint(scaled).astype(np.int64)


def emit_activation(
    node: graph.Activate,
    common: dict[str, Any],
    result: Quantised,
    ranges: Ranges,
    scales: Scales,
    test: SignTest,
) -> None:
    before = scales.frac_bits[node.inputs[0]]
    windowed = test.relu in WINDOWED
    knots = tuple(round(t * 2.0**before) for t in node.knots)
    low, high = ranges.low[node], ranges.high[node]
    held = limits(low, high, node.knots, before, test.margin, test.per_channel)
    result.weights[f"{node.name}.range"] = held
    operation = program.Activate(
        **common,
        shift=before - scales.frac_bits[node],
        window=fill(held, knots, test.bits, test.mode, test.relu) if windowed else None,
        truncate_bits=0 if windowed else test.truncate_bits,
        mode="poszero" if windowed or test.mode == "balanced" else test.mode,
        knots=knots,
        coefs=node.coefs,
        mask=None if node.mask is None else Mask.of(node.mask.numpy(), node.others),
    )
    result.append(node, operation)


def emit_rescale(node: graph.Rescale, common: dict[str, Any], result: Quantised, scales: Scales) -> None:
    """An activation without a sign test."""
    shift = scales.frac_bits[node.inputs[0]] - scales.frac_bits[node]
    if not shift:
        result.place[node] = result.place[node.inputs[0]]
        return
    result.append(node, program.Activate(**common, shift=shift, window=None, knots=(), coefs=()))


def emit_scale(node: graph.Scale, common: dict[str, Any], result: Quantised, scales: Scales) -> None:
    x = node.inputs[0]
    merged = result.operations[result.place[x]].frac_bits == common["frac_bits"]
    if isinstance(x, graph.Pool) and merged and halvings(node):
        result.place[node] = result.place[x]
        return
    factor = node.factor * 2.0 ** (scales.frac_bits[node] - scales.frac_bits[x])
    result.append(node, program.Scale(**common, factor=round(factor)))


def align(node: graph.Concat, i: int, bits: int, result: Quantised, scales: Scales) -> int:
    """The operand of a Concat at the scale of the result."""
    x = node.inputs[i]
    missing = bits - scales.frac_bits[x]
    if not missing:
        return result.place[x]
    name = f"{node.name}.align{i}"
    result.operations.append(program.Scale(name, (result.place[x],), x.shape, bits, 1 << missing))
    return len(result.operations) - 1
