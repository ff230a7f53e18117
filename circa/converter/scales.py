"""Fractional bits of every value: as many as asked for, fewer where a range would not fit the modulus.

A linear layer adds its weight bits, an average adds the bits of its divisor, additions align to the finer
operand, and only an activation takes bits away. What an activation or the input may have at most is found
from the end backwards: every value v needs |v| * margin * 2^bits <= limit.
"""

import math
from dataclasses import dataclass

import torch

from circa.errors import CalibrationError
from circa.protocols.linear.shape import MAX_WEIGHT
from circa.protocols.relu import MAX_SHIFT
from circa.protocols.shares import Modulus

from .calibrate import Ranges
from .fold import is_power_of_two
from .graph import Activate, Add, Concat, Linear, Node, Scale, Source

__all__ = ["Scales", "choose_scales"]

FEW_BITS = 8  # below this many, use all of the modulus before giving up more
LEAST_BITS = 4
WEIGHT_UNITS = 6.0  # r.m.s. of a layer's integer weights, at least: rounding then costs 5 % of it
MORE_BITS = 8
FACTOR_BITS = 10  # of a multiplication by a number that is no power of two: relative error 2^-11


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


def choose_scales(nodes: list[Node], ranges: Ranges, wanted: Wanted) -> Scales:
    """Raises CalibrationError naming the layer whose range leaves fewer than LEAST_BITS to the values
    before it.
    """
    weight_bits: dict[Node, int] = {
        n: fitting_weight_bits(n, wanted.weight_bits) for n in nodes if isinstance(n, Linear)
    }
    # A gain is an integer: with ranges up to 2^27 it is at least 16, so that it fills a window to 6 %.
    for limit in (1 << 27, 1 << 29):
        budget = budgets(nodes, ranges, weight_bits, limit, wanted)
        frac_bits = assign(nodes, budget, weight_bits, wanted)
        free = {n: frac_bits[n] for n in nodes if is_free(n)}
        if min(free.values()) >= min(FEW_BITS, wanted.input_bits, wanted.activation_bits):
            return Scales(frac_bits, weight_bits)
    worst = min(free, key=lambda n: free[n])
    if free[worst] < LEAST_BITS:
        culprit = budget[worst][1]
        raise CalibrationError(
            f"{culprit.name}: a range of {ranges.largest[culprit]:.4g} leaves {free[worst]} fractional bits "
            f"to {worst.name}: use fewer weight_bits, a smaller margin, or normalise the layers before it"
        )
    return Scales(frac_bits, weight_bits)


def is_free(node: Node) -> bool:
    """Whether its scale is a choice."""
    return isinstance(node, Source) or (isinstance(node, Activate) and node.rescale)


def fitting_weight_bits(node: Linear, wanted: int) -> int:
    """As asked for; more where the weights are so small that rounding would drown them; fewer where the
    largest one does not fit 16 bits.
    """
    rms = node.weight.square().mean().sqrt().item()
    if rms > 0:
        wanted = max(wanted, min(wanted + MORE_BITS, math.ceil(math.log2(WEIGHT_UNITS / rms))))
    largest = max(node.weight.abs().max().item(), torch.finfo(torch.float64).tiny)
    fits = math.floor(math.log2((MAX_WEIGHT - 1) / largest))
    if fits < 0:
        raise CalibrationError(f"{node.name}: a weight of {largest:.4g} exceeds 16 bits: normalise the layer")
    return min(wanted, fits)


def budgets(
    nodes: list[Node], ranges: Ranges, weight_bits: dict[Node, int], limit: int, wanted: Wanted
) -> dict[Node, tuple[float, Node]]:
    """For every node the most fractional bits, and the node whose range demands it."""
    budget: dict[Node, tuple[float, Node]] = {}

    def lower(node: Node, bits: float, cause: Node) -> None:
        if node not in budget or bits < budget[node][0]:
            budget[node] = (bits, cause)

    def fitting(value: float, most: int) -> float:
        return math.floor(math.log2(most / (value * wanted.margin))) if value > 0 else math.inf

    for node in reversed(nodes):
        lower(node, fitting(ranges.largest[node], wanted.modulus.value // 4), node)
        bits, cause = budget[node]
        for x in node.inputs:
            if isinstance(node, Activate):
                lower(x, fitting(ranges.spread[node].max().item(), limit), node)
                if not node.rescale:
                    lower(x, bits, cause)
            else:
                lower(x, bits - added_bits(node, weight_bits), cause)
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
        elif isinstance(node, Activate) and node.rescale:
            before = frac_bits[node.inputs[0]]
            frac_bits[node] = max(int(min(wanted.activation_bits, most, before)), before - MAX_SHIFT)
        elif isinstance(node, Add | Concat):
            frac_bits[node] = max(frac_bits[x] for x in node.inputs)
        else:
            frac_bits[node] = frac_bits[node.inputs[0]] + added_bits(node, weight_bits)
    return frac_bits
