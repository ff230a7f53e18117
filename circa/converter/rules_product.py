"""Rules for products of a value with itself: x * x, x ** 2, and (a x + b) * (c x + d).

Polynomials of the second degree need no rule of their own: a square, a factor per channel and sums.
"""

import torch
from torch import Tensor

from .graph import Add, Linear, Node, Scale, Square
from .site import Site, Unsupported, per_channel

__all__ = ["power", "product", "square"]


def square(site: Site, x: Node) -> Node:
    return Square(site.name, [x], x.shape)


def power(site: Site, x: object, exponent: object) -> Node:
    if not isinstance(x, Node) or exponent != 2:
        raise Unsupported(f"the power {exponent}", "use x * x, whose exponent is 2, or nn.ReLU")
    return square(site, x)


def product(site: Site, x: Node, y: Node) -> Node:
    """(a z + b)(c z + d) = ac z^2 + (ad + bc) z + bd, of two values that are affine in one and the same."""
    if x is y:
        return square(site, x)
    (a, b, base), (c, d, other) = affine(x), affine(y)
    if base is not other:
        raise Unsupported(
            "a product of two values that depend on the input",
            "use an addition, a product with a constant, or a square",
        )
    squared = per_channel(site.name, Square(f"{site.name}.square", [base], base.shape), a * c, b * d)
    slope = a * d + b * c
    if not slope.any():
        return squared
    linear = per_channel(f"{site.name}.linear", base, slope, torch.zeros(1))
    return Add(f"{site.name}.sum", [squared, linear], base.shape, (1, 1))


def affine(x: Node) -> tuple[Tensor, Tensor, Node]:
    """Factor a and offset b, one or one per channel, and the value z of which x is a z + b."""
    a, b = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    while True:
        if isinstance(x, Scale):
            a = a * x.factor
        elif isinstance(x, Linear) and x.per_channel and x.shape == x.inputs[0].shape:
            a, b = a * x.weight.reshape(-1), a * x.bias + b
        else:
            return a, b, x
        x = x.inputs[0]
