"""Rules for what is not linear: sums of ReLUs with knots."""

import torch
from torch import Tensor

from .graph import Activate, Add, Node, Rescale, Scale
from .maximum import maximum
from .rules_linear import Value, constant
from .rules_shape import expand
from .site import Site, Unsupported, per_channel, scaled


def relu(site: Site, x: Node) -> Node:
    return Activate(site.name, [x], x.shape)


def relu6(site: Site, x: Node) -> Node:
    return clamp(site, x, 0.0, 6.0)


def hardtanh(site: Site, x: Node, low: float = -1.0, high: float = 1.0) -> Node:
    return clamp(site, x, low, high)


def clamp(site: Site, x: Node, low: float | None = None, high: float | None = None) -> Node:
    """low + ReLU(z - low) - ReLU(z - high): two sign tests on one index."""
    if low is None:
        return at_most(site, x, high)
    if high is not None and not low < high:
        raise Unsupported(f"the bounds {low} and {high} leave one value", "remove it")
    knots, coefs = ((low, high), (1, -1)) if high is not None else ((low,), (1,))
    node = Activate(site.name, [x], x.shape, tuple(map(float, knots)), coefs)
    if low == 0:
        return node
    return per_channel(f"{site.name}.offset", node, torch.ones(1), torch.tensor([float(low)]))


def at_most(site: Site, x: Node, high: float | None) -> Node:
    """high - ReLU(high - z). Of a ReLU it is the same sum of ReLUs as ReLU6."""
    if high is None:
        return x
    if isinstance(x, Activate) and (x.knots, x.coefs) == ((0.0,), (1,)) and high > 0:
        return clamp(site, x.inputs[0], 0.0, high)
    minus, bound = torch.full((1,), -1.0), torch.tensor([float(high)])
    below = per_channel(f"{site.name}.below", x, minus, bound)
    rest = Activate(site.name, [below], x.shape)
    return per_channel(f"{site.name}.offset", rest, minus, bound)


def larger(site: Site, x: Value, y: Value) -> Node:
    """max(x, y) = y + ReLU(x - y)."""
    if isinstance(x, Node) and isinstance(y, Node):
        x, y = (expand(Site(f"{site.name}.wide{i}", site.shape), v) for i, v in enumerate((x, y)))
        return maximum(site.name, x, y)
    node, bound = one_bound(x, y)
    return clamp(site, node, low=bound)


def smaller(site: Site, x: Value, y: Value) -> Node:
    """min(x, y) = -max(-x, -y)."""
    if isinstance(x, Node) and isinstance(y, Node):
        minus = [scaled(f"{site.name}.minus{i}", v, -1.0) for i, v in enumerate((x, y))]
        return scaled(f"{site.name}.minus", larger(site, *minus), -1.0)
    node, bound = one_bound(x, y)
    return clamp(site, node, high=bound)


def one_bound(x: Value, y: Value) -> tuple[Node, float]:
    node, bound = (x, y) if isinstance(x, Node) else (y, x)
    if not isinstance(node, Node) or not isinstance(bound, Tensor) or bound.numel() != 1:
        raise Unsupported("a bound that differs from value to value", "use c + F.relu(x - c)")
    return node, bound.item()


def clamp_max(site: Site, x: Node, high: float) -> Node:
    return clamp(site, x, None, high)


def hardsigmoid(site: Site, x: Node) -> Node:
    """(ReLU(z + 3) - ReLU(z - 3)) / 6."""
    return scaled(f"{site.name}.sixth", Activate(site.name, [x], x.shape, (-3.0, 3.0), (1, -1)), 1 / 6)


def clamp_min(site: Site, x: Node, low: float) -> Node:
    return clamp(site, x, low)


def leaky_relu(site: Site, x: Node, slope: float = 0.01) -> Node:
    """ReLU(z) + slope * (z - ReLU(z))."""
    positive, negative = parts(site, x)
    scaled = Scale(f"{site.name}.slope", [negative], x.shape, slope) if slope != 1 else negative
    return Add(f"{site.name}.sum", [positive, scaled], x.shape, (1, 1)) if slope else positive


def prelu(site: Site, x: Node, weight: object) -> Node:
    """The same with learned slopes: one is public, one per channel are the weights of a linear layer."""
    slopes = constant(weight, "weight")
    if slopes.numel() == 1:
        return leaky_relu(site, x, slopes.item())
    positive, negative = parts(site, x)
    scaled = per_channel(f"{site.name}.slope", negative, slopes, torch.zeros(1))
    return Add(f"{site.name}.sum", [positive, scaled], x.shape, (1, 1))


def parts(site: Site, x: Node) -> tuple[Node, Node]:
    """ReLU(z) and z - ReLU(z). Both lose their fractional bits in a protocol of their own, so they meet at
    one scale.
    """
    positive = Activate(site.name, [x], x.shape)
    linear = Rescale(f"{site.name}.linear", [x], x.shape)
    return positive, Add(f"{site.name}.negative", [linear, positive], x.shape, (1, -1))
