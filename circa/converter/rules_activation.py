"""Rules for what is not linear: sums of ReLUs with knots, and maxima."""

from collections.abc import Sequence

import torch

from .graph import Activate, Add, MaxPool, Node, Rescale, Scale
from .rules_linear import constant, over
from .site import Site, Unsupported, per_channel, reshaped


def relu(site: Site, x: Node) -> Node:
    return Activate(site.name, [x], x.shape)


def relu6(site: Site, x: Node) -> Node:
    return clamp(site, x, 0.0, 6.0)


def hardtanh(site: Site, x: Node, low: float = -1.0, high: float = 1.0) -> Node:
    return clamp(site, x, low, high)


def clamp(site: Site, x: Node, low: float | None = None, high: float | None = None) -> Node:
    """low + ReLU(z - low) - ReLU(z - high): two sign tests on one index."""
    if low is None:
        raise Unsupported("a bound above alone keeps a linear part", "give a lower bound too, or use ReLU6")
    if high is not None and not low < high:
        raise Unsupported(f"the bounds {low} and {high} leave one value", "remove it")
    knots, coefs = ((low, high), (1, -1)) if high is not None else ((low,), (1,))
    node = Activate(site.name, [x], x.shape, tuple(map(float, knots)), coefs)
    if low == 0:
        return node
    return per_channel(f"{site.name}.offset", node, torch.ones(1), torch.tensor([float(low)]))


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


def max_pool(
    site: Site,
    x: Node,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Node:
    """max_pool1d and max_pool2d."""
    rank = len(x.shape) - 1
    if rank not in (1, 2):
        raise Unsupported(f"it pools a value of shape {x.shape}", "pool (batch, channels, height, width)")
    if any(d != 1 for d in dilation):
        raise Unsupported("a dilated maximum", "use dilation=1")
    k, p = over(kernel, rank), over(padding, rank)
    s = over(stride, rank) if stride else k
    floors = [(n + 2 * b - a) // c + 1 for n, a, b, c in zip(x.shape[1:], k, p, s, strict=True)]
    if tuple(floors) != site.shape[1:]:
        raise Unsupported(
            "ceil_mode gives windows of different sizes here", "use ceil_mode=False, or pad first"
        )
    if rank == 1:
        k, s, p, floors = [1, *k], [1, *s], [0, *p], [1, *floors]
        x = reshaped(f"{site.name}.row", x, (x.shape[0], 1, x.shape[1]))
    node = MaxPool(site.name, [x], (x.shape[0], *floors), (k[0], k[1]), (s[0], s[1]), (p[0], p[1]))
    return reshaped(f"{site.name}.shape", node, site.shape)
