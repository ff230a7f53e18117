"""The network between PyTorch and the integers: the operations of `program.py` with real weights.

Nodes refer to their operands directly; `topological` gives the order in which they run. Values have no
batch dimension in `shape`. Weights are float64, so that folding costs no precision. The names of the
classes are those of `program.py`; a module that needs both imports this one as `graph`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from circa.protocols.linear.shape import LinearShape

__all__ = [
    "Activate",
    "Add",
    "Concat",
    "Linear",
    "MaxPool",
    "Node",
    "Pad",
    "Pool",
    "Rescale",
    "Reshape",
    "Scale",
    "Select",
    "Slice",
    "Source",
    "Square",
    "consumers",
    "evaluate",
    "rewire",
    "topological",
]

Shape = tuple[int, ...]


@dataclass(eq=False)
class Node:
    """An operation of one image. Nodes are compared by identity and may be rewired.

    `traced` is the node of the traced graph whose value this is; empty where a pass has changed the value.
    """

    name: str
    inputs: list["Node"]
    shape: Shape
    traced: str = field(default="", kw_only=True)

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(eq=False)
class Source(Node):
    """The input of the network."""


@dataclass(eq=False)
class Linear(Node):
    """Convolution of the operand, read as (channels, *size), whatever its shape: weight * x + bias.

    weight (out channels, in channels / groups, kh, kw) and bias (out channels,) are float64.
    """

    size: tuple[int, int]
    weight: Tensor
    bias: Tensor
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def geometry(self) -> LinearShape:
        out, per_group, kh, kw = self.weight.shape
        return LinearShape(
            per_group * self.groups,
            *self.size,
            out,
            (kh, kw),
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )

    @property
    def per_channel(self) -> bool:
        """Whether it only multiplies every channel by a number and adds one: batch normalisation, say."""
        out, per_group, *kernel = self.weight.shape
        plain = self.stride == (1, 1) and self.padding == (0, 0, 0, 0)
        return plain and per_group == 1 and self.groups == out and kernel == [1, 1]


@dataclass(eq=False)
class Activate(Node):
    """sum_j coefs[j] * ReLU(z - knots[j]); `rescale` says whether it may take fractional bits away.

    Where `mask`, a bool tensor of the node's shape, is false, the value is z ("identity") or 0 ("zero").
    """

    knots: tuple[float, ...] = (0.0,)
    coefs: tuple[int, ...] = (1,)
    rescale: bool = True
    mask: Tensor | None = None
    others: str = "identity"


@dataclass(eq=False)
class Select(Node):
    """Zero where `mask` is false; `masking.py` merges it into an activation."""

    mask: Tensor


@dataclass(eq=False)
class Square(Node):
    """The square, elementwise; its result has twice the fractional bits."""


@dataclass(eq=False)
class Rescale(Node):
    """The same value with fewer fractional bits: costs a round trip, but no sign test."""


@dataclass(eq=False)
class Pool(Node):
    """Sum over windows of (channels, height, width)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)


@dataclass(eq=False)
class MaxPool(Node):
    """Maximum over windows; the padding never wins. `maximum.py` turns it into a tree of ReLUs."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)


@dataclass(eq=False)
class Pad(Node):
    """Zeros: (before, after) for every dimension, flattened."""

    padding: tuple[int, ...]


@dataclass(eq=False)
class Slice(Node):
    """[start:stop:step] in every dimension."""

    start: tuple[int, ...]
    stop: tuple[int, ...]
    step: tuple[int, ...]


@dataclass(eq=False)
class Reshape(Node):
    """The same elements in C order."""


@dataclass(eq=False)
class Scale(Node):
    """Multiply by a number."""

    factor: float


@dataclass(eq=False)
class Add(Node):
    """Sum of the operands, each with a sign."""

    signs: tuple[int, ...]


@dataclass(eq=False)
class Concat(Node):
    """Join along dimension `dim` (0 is the channels)."""

    dim: int = 0


def topological(output: Node) -> list[Node]:
    """Every node that `output` needs, operands first."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack = [(output, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((x, False) for x in reversed(node.inputs))
    return order


def consumers(nodes: list[Node]) -> dict[Node, list[Node]]:
    """Who reads each node; a node that reads one twice is listed twice."""
    readers: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for x in node.inputs:
            readers[x].append(node)
    return readers


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
            top, left = node.padding
            around = F.pad(x, (left, left, top, top), value=-torch.inf)
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


def rewire(nodes: list[Node], old: Node, new: Node) -> None:
    """Let every reader of `old` but `new` itself read `new`."""
    for node in nodes:
        if node is not new:
            node.inputs = [new if x is old else x for x in node.inputs]
