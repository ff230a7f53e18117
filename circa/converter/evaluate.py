"""The network on a batch, in the precision of the batch: for calibration, the self-check and the debugger."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .graph import (
    Activate,
    Add,
    Concat,
    Linear,
    MaxPool,
    Node,
    Pad,
    Pool,
    Rescale,
    Reshape,
    Scale,
    Select,
    Slice,
    Source,
    Square,
    consumers,
)

__all__ = ["compute", "evaluate", "linear"]


def evaluate(nodes: list[Node], x: Tensor, visit: Callable[[Node, Tensor], None]) -> Tensor:
    """Run the network on a batch in x's precision, call `visit` with every value, return the last one."""
    left = {node: len(readers) for node, readers in consumers(nodes).items()}
    values: dict[Node, Tensor] = {}
    for node in nodes:
        operands = [values[i] for i in node.inputs]
        value = x if isinstance(node, Source) else compute(node, operands)
        visit(node, value)
        values[node] = value
        for i in node.inputs:
            left[i] -= 1
            if not left[i]:
                values.pop(i, None)
    return values[nodes[-1]]


def compute(node: Node, operands: list[Tensor]) -> Tensor:
    """The value of a node on a batch."""
    x = operands[0]
    n = len(x)
    match node:
        case Linear():
            return linear(node, x).reshape(n, *node.shape)
        case Activate():
            terms = [c * F.relu(x - t) for t, c in zip(node.knots, node.coefs, strict=True)]
            value = torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]
            if node.mask is None:
                return value
            return torch.where(node.mask, value, x if node.others == "identity" else 0.0)
        case Select():
            return x * node.mask
        case Pool():
            return F.avg_pool2d(x, node.kernel, node.stride, node.padding, divisor_override=1)
        case MaxPool():
            top, bottom, left, right = node.padding
            around = F.pad(x, (left, right, top, bottom), value=-torch.inf)
            return F.max_pool2d(around, node.kernel, node.stride)
        case Pad():
            pairs = zip(node.padding[::2], node.padding[1::2], strict=True)
            return F.pad(x, [amount for pair in reversed(list(pairs)) for amount in pair])
        case Slice():
            bounds = zip(node.start, node.stop, node.step, strict=True)
            return x[(slice(None), *(slice(*bound) for bound in bounds))]
        case Reshape():
            return x.reshape(n, *node.shape)
        case Rescale():
            return x
        case Square():
            return x * x
        case Scale():
            return x * node.factor
        case Add():
            total = x * node.signs[0]
            for other, sign in zip(operands[1:], node.signs[1:], strict=True):
                total = torch.add(total, other, alpha=sign)
            return total
        case Concat():
            return torch.cat(operands, node.dim + 1)
    raise TypeError(f"{node.name}: {type(node).__name__} has no value")


def linear(node: Linear, x: Tensor) -> Tensor:
    """weight * x + bias, as (batch, out channels, height, width)."""
    g = node.geometry
    top, bottom, left, right = node.padding
    x = F.pad(x.reshape(len(x), g.in_channels, *node.size), (left, right, top, bottom))
    weight, bias = node.weight.to(x.dtype), node.bias.to(x.dtype)
    return F.conv2d(x, weight, bias, node.stride, 0, node.dilation, node.groups)
