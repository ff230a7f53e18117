"""Rules for linear layers: convolutions, matrices, batch normalisation.

A rule takes a `Site` and an ATen operation's arguments, values as nodes and constants as tensors, and
returns a node.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .graph import Linear, Node
from .site import Site, Unsupported, over, per_channel, reshaped

Value = Node | Tensor | float
WEIGHT_REMEDY = "weights must be parameters, buffers or constants"


def constant(value: object, what: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise Unsupported(f"its {what} depends on the input", WEIGHT_REMEDY)
    return value.double()


def convolution(
    site: Site,
    x: Node,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] | str = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Node:
    """conv1d and conv2d, padding in numbers or "same" or "valid". A row of pixels is an image of height 1."""
    w = constant(weight, "weight")
    b = torch.zeros(len(w), dtype=torch.float64) if bias is None else constant(bias, "bias")
    if len(x.shape) != w.ndim - 1:
        raise Unsupported(f"it reads a value of shape {x.shape}", "give (batch, channels, ...)")
    rank = w.ndim - 2
    steps, gaps = over(stride, rank), over(dilation, rank)
    if isinstance(padding, str):
        totals = [d * (k - 1) if padding == "same" else 0 for d, k in zip(gaps, w.shape[2:], strict=True)]
        around = [(total // 2, total - total // 2) for total in totals]
    else:
        around = [(p, p) for p in over(padding, rank)]
    if rank == 1:
        w = w.unsqueeze(2)
        steps, gaps, around = [1, *steps], [1, *gaps], [(0, 0), *around]
    size = (1, x.shape[1]) if rank == 1 else (x.shape[1], x.shape[2])
    shape = (site.shape[0], 1, site.shape[1]) if rank == 1 else site.shape
    (top, bottom), (left, right) = around
    node = Linear(
        site.name,
        [x],
        shape,
        size,
        w,
        b,
        (steps[0], steps[1]),
        (top, bottom, left, right),
        (gaps[0], gaps[1]),
        groups,
    )
    return reshaped(f"{site.name}.shape", node, site.shape)


def linear(site: Site, x: Node, weight: Value, bias: Value | None = None) -> Node:
    w = constant(weight, "weight")
    b = torch.zeros(len(w), dtype=torch.float64) if bias is None else constant(bias, "bias")
    if x.elements != w.shape[1]:
        raise Unsupported(
            f"a fully connected layer over the last of the dimensions {x.shape}",
            "flatten first, or use a 1x1 convolution",
        )
    node = Linear(site.name, [x], (len(w),), (1, 1), w[:, :, None, None], b)
    return reshaped(f"{site.name}.shape", node, site.shape)


def matmul(site: Site, x: Value, weight: Value) -> Node:
    if not isinstance(x, Node) or not isinstance(weight, Tensor) or weight.ndim != 2:
        raise Unsupported("a product of two values of the input, or a constant on the left", WEIGHT_REMEDY)
    return linear(site, x, weight.T)


def addmm(site: Site, bias: Value, x: Value, weight: Value) -> Node:
    if not isinstance(x, Node) or not isinstance(weight, Tensor):
        raise Unsupported("a product of two values of the input, or a constant on the left", WEIGHT_REMEDY)
    return linear(site, x, weight.T, constant(bias, "bias"))


def batch_norm(
    site: Site,
    x: Node,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    variance: Value,
    momentum: float,
    eps: float,
) -> Node:
    """In eval mode a factor and an offset for every channel."""
    deviation = torch.sqrt(constant(variance, "variance") + eps)
    factor = (1 if weight is None else constant(weight, "weight")) / deviation
    offset = (0 if bias is None else constant(bias, "bias")) - constant(mean, "mean") * factor
    return per_channel(site.name, x, factor, offset)
