"""Rules for products of a value with itself: x * x, x ** 2, and a * x * x with a constant a.

Polynomials of the second degree need no rule of their own: a square, a factor per channel and sums.
"""

import torch
from torch import Tensor

from .graph import Linear, Node, Scale, Square
from .site import Site, Unsupported, per_channel

__all__ = ["power", "product", "square"]


def square(site: Site, x: Node) -> Node:
    return Square(site.name, [x], x.shape)


def power(site: Site, x: object, exponent: object) -> Node:
    if not isinstance(x, Node) or exponent != 2:
        raise Unsupported(f"the power {exponent}", "use x * x, whose exponent is 2, or nn.ReLU")
    return square(site, x)


def product(site: Site, x: Node, y: Node) -> Node:
    """Of two values that are constants times one and the same value."""
    (a, base), (b, other) = without_factor(x), without_factor(y)
    if base is not other:
        raise Unsupported(
            "a product of two values that depend on the input",
            "use an addition, a product with a constant, or a square",
        )
    if x is y:
        return square(site, x)
    return per_channel(site.name, Square(f"{site.name}.square", [base], base.shape), a * b, torch.zeros(1))


def without_factor(x: Node) -> tuple[Tensor, Node]:
    """Factors per channel and the value that they multiply."""
    factor = torch.ones(1, dtype=torch.float64)
    while True:
        if isinstance(x, Scale):
            factor = factor * x.factor
        elif isinstance(x, Linear) and x.per_channel and not x.bias.any() and x.shape == x.inputs[0].shape:
            factor = factor * x.weight.reshape(-1)
        else:
            return factor, x
        x = x.inputs[0]
