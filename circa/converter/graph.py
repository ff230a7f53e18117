"""The network between PyTorch and the integers: the operations of `program.py` with real weights.

Nodes refer to their operands directly; `topological` gives the order in which they run. Values have no
batch dimension in `shape`. Weights are float64, so that folding costs no precision. The names of the
classes are those of `program.py`; a module that needs both imports this one as `graph`.
"""

import math
from dataclasses import dataclass, field

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
    """Zero where `mask`, a bool tensor of the node's shape, is false; `masking.py` merges it into an
    activation where it can.
    """

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
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, bottom, left, right


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


def rewire(nodes: list[Node], old: Node, new: Node) -> None:
    """Let every reader of `old` but `new` itself read `new`."""
    for node in nodes:
        if node is not new:
            node.inputs = [new if x is old else x for x in node.inputs]
