"""Fractional bits of every value: as many as asked for, fewer where a range would not fit the modulus.

A linear layer adds its weight bits, a square doubles them, an average adds the bits of its divisor, additions
align to the finer operand, and only an activation or a `Rescale` takes bits away. What those and the input
may have at most is found from the end backwards: every value v needs |v| * margin * 2^bits <= limit. Where
too little is left, two linear layers follow each other, say, a Rescale goes between them.
"""

import math
from dataclasses import dataclass

from circa.errors import CalibrationError
from circa.protocols.linear.shape import MAX_WEIGHT
from circa.protocols.relu import MAX_SHIFT
from circa.protocols.shares import Modulus

from .calibrate import Ranges
from .fold import is_power_of_two
from .graph import Activate, Add, Concat, Linear, Node, Rescale, Scale, Source, Square, topological

__all__ = ["FACTOR_BITS", "Scales", "Wanted", "choose_scales"]

SOFT_LIMIT = (
    1 << 27
)  # a gain is an integer: with ranges up to this it is at least 16 and fills a window to 6 %
HARD_LIMIT = 1 << 29  # m <= 30, design.md section 2
FEW_BITS = 8  # below this many, use all of the modulus before giving up more
LEAST_BITS = 4
WEIGHT_UNITS = 6.0  # r.m.s. of a layer's integer weights, at least: rounding then costs 5 % of it
MORE_BITS = 8
FACTOR_BITS = 8  # of a multiplication by a number that is no power of two: error 2^-9


@dataclass(frozen=True)
class Scales:
    """Fractional bits of every node's value, and of every linear layer's weights."""

    frac_bits: dict[Node, int]
    weight_bits: dict[Node, int]


@dataclass(frozen=True)
class Wanted:
    """What the user asks for."""

    modulus: Modulus
    margin: float
    input_bits: int
    activation_bits: int
    weight_bits: int


def choose_scales(output: Node, ranges: Ranges, wanted: Wanted) -> tuple[list[Node], Scales]:
    """The nodes, with the Rescales that were needed, and their scales. Adds the Rescales' ranges to `ranges`.

    Raises CalibrationError naming the layer whose range leaves fewer than LEAST_BITS to the values before it.
    """
    weight_bits: dict[Node, int] = {
        n: fitting_weight_bits(n, wanted.weight_bits) for n in topological(output) if isinstance(n, Linear)
    }
    enough = min(FEW_BITS, wanted.input_bits, wanted.activation_bits)
    while True:
        nodes = topological(output)
        for limit in (SOFT_LIMIT, HARD_LIMIT):
            budget = budgets(nodes, own_limits(nodes, ranges, limit, wanted), weight_bits)
            frac_bits = assign(nodes, budget, weight_bits, wanted)
            free = {n: frac_bits[n] for n in nodes if is_free(n)}
            if min(free.values()) >= enough:
                return nodes, Scales(frac_bits, weight_bits)
        if not insert_rescale(nodes, ranges, weight_bits, wanted):
            break
    worst = min(free, key=lambda n: free[n])
    if free[worst] < LEAST_BITS:
        culprit = budget[worst][1]
        raise CalibrationError(
            f"{culprit.name}: a range of {ranges.largest[culprit]:.4g} leaves {free[worst]} fractional bits "
            f"to {worst.name}: use fewer weight_bits, a smaller margin, or normalise the layers before it"
        )
    return nodes, Scales(frac_bits, weight_bits)


def insert_rescale(nodes: list[Node], ranges: Ranges, weight_bits: dict[Node, int], wanted: Wanted) -> bool:
    """Put Rescales before the first value that would not fit even if everything before had FEW_BITS."""
    own = own_limits(nodes, ranges, HARD_LIMIT, wanted)
    frac_bits = assign(nodes, {n: (FEW_BITS, n) for n in nodes}, weight_bits, wanted)
    for node in nodes:
        fine = [x for x in node.inputs if frac_bits[x] > FEW_BITS]
        if frac_bits[node] <= own[node] or not fine or is_free(node):
            continue
        for x in fine:
            rescale = Rescale(f"{node.name}.rescale{node.inputs.index(x)}", [x], x.shape)
            ranges.largest[rescale] = ranges.largest[x]
            node.inputs = [rescale if y is x else y for y in node.inputs]
        return True
    return False


def is_free(node: Node) -> bool:
    """Whether its scale is a choice."""
    return isinstance(node, Source | Rescale) or (isinstance(node, Activate) and node.rescale)


def fitting_weight_bits(node: Linear, wanted: int) -> int:
    """As asked for; more where the weights are so small that rounding would drown them; fewer where the
    largest one does not fit 16 bits.
    """
    rms = node.weight.square().mean().sqrt().item()
    if rms > 0:
        wanted = max(wanted, min(wanted + MORE_BITS, math.ceil(math.log2(WEIGHT_UNITS / rms))))
    largest = node.weight.abs().max().item()
    fits = math.floor(math.log2((MAX_WEIGHT - 1) / largest)) if largest else wanted
    if fits < 0:
        raise CalibrationError(f"{node.name}: a weight of {largest:.4g} exceeds 16 bits: normalise the layer")
    return min(wanted, fits)


def own_limits(nodes: list[Node], ranges: Ranges, limit: int, wanted: Wanted) -> dict[Node, float]:
    """For every node the most fractional bits with which its range fits: a quarter of the modulus, or
    `limit` where an activation or a Rescale reads it."""

    def fitting(value: float, most: int) -> float:
        return math.floor(math.log2(most / (value * wanted.margin))) if value > 0 else math.inf

    limits = {node: fitting(ranges.largest[node], wanted.modulus.value // 4) for node in nodes}
    for node in nodes:
        if isinstance(node, Activate | Rescale):
            x = node.inputs[0]
            widest = ranges.largest[x]
            if isinstance(node, Activate):
                far = ranges.far(node).max().item()
                widest = max(widest, far) if node.mask is not None and node.others == "identity" else far
            limits[x] = min(limits[x], fitting(widest, limit))
    return limits


def budgets(
    nodes: list[Node], own: dict[Node, float], weight_bits: dict[Node, int]
) -> dict[Node, tuple[float, Node]]:
    """For every node the most fractional bits, and the node whose range demands it."""
    budget = {node: (own[node], node) for node in nodes}
    for node in reversed(nodes):
        if isinstance(node, Rescale) or (isinstance(node, Activate) and node.rescale):
            continue
        bits, cause = budget[node]
        for x in node.inputs:
            most = bits // 2 if isinstance(node, Square) else bits - added_bits(node, weight_bits)
            budget[x] = min(budget[x], (most, cause), key=lambda pair: pair[0])
    return budget


def added_bits(node: Node, weight_bits: dict[Node, int]) -> int:
    if isinstance(node, Linear):
        return weight_bits[node]
    if isinstance(node, Scale):
        if not is_power_of_two(node.factor):
            return FACTOR_BITS
        return max(0, -math.frexp(node.factor)[1] + 1)
    return 0


def assign(
    nodes: list[Node], budget: dict[Node, tuple[float, Node]], weight_bits: dict[Node, int], wanted: Wanted
) -> dict[Node, int]:
    frac_bits: dict[Node, int] = {}
    for node in nodes:
        most = budget[node][0]
        if isinstance(node, Source):
            frac_bits[node] = int(min(wanted.input_bits, most))
        elif is_free(node):
            before = frac_bits[node.inputs[0]]
            frac_bits[node] = max(int(min(wanted.activation_bits, most, before)), before - MAX_SHIFT)
        elif isinstance(node, Add | Concat):
            frac_bits[node] = max(frac_bits[x] for x in node.inputs)
        elif isinstance(node, Square):
            frac_bits[node] = 2 * frac_bits[node.inputs[0]]
        else:
            frac_bits[node] = frac_bits[node.inputs[0]] + added_bits(node, weight_bits)
    return frac_bits
