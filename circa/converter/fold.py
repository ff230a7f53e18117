"""Numbers per channel move into the weights of a linear layer, in float64: batch normalisation costs nothing.

    backward   a (W x + b) + c             ->  (a W) x + (a b + c)
    forward    W (a x + c) + b             ->  (W a) x + (b + W c)    no padding, or c = 0
    past       pool, pad, slice, reshape   when a linear layer comes after

What finds no linear layer stays: a batch normalisation as a 1x1 convolution per channel, a power of two as
a change of scale, another number as a multiplication by a rounded one.
"""

import torch
from torch import Tensor

from .graph import Linear, Node, Pad, Pool, Reshape, Scale, Slice, consumers, rewire, topological

__all__ = ["absorb", "fold", "is_power_of_two", "reads_channels"]


def fold(output: Node) -> Node:
    """The same network with fewer operations. Nodes are changed in place."""
    for node in topological(output):
        while isinstance(node, Linear) and isinstance(before := node.inputs[0], Reshape):
            node.inputs = before.inputs  # a linear layer reads its operand in C order, whatever the shape
    while (changed := fold_one(output)) is not None:
        output = changed
    return output


def fold_one(output: Node) -> Node | None:
    """The output after one step; None where there is nothing left to do."""
    nodes = topological(output)
    readers = consumers(nodes)
    for node in nodes:
        if not is_affine(node):
            continue
        if backward(node, readers) or forward(node, readers):
            rewire(nodes, node, node.inputs[0])
            return node.inputs[0] if node is output else output
        if past(node, nodes, readers):
            return output
    return None


def is_affine(node: Node) -> bool:
    return isinstance(node, Scale) or (isinstance(node, Linear) and node.per_channel)


def terms(node: Node) -> tuple[Tensor, Tensor]:
    """Factor and offset of every channel of an affine node."""
    channels = node.shape[0]
    if isinstance(node, Scale):
        return torch.full((channels,), node.factor, dtype=torch.float64), torch.zeros(
            channels, dtype=torch.float64
        )
    assert isinstance(node, Linear)
    return node.weight.reshape(channels), node.bias


def backward(node: Node, readers: dict[Node, list[Node]]) -> bool:
    """Into the linear layer before, if nobody else reads that."""
    before = node.inputs[0]
    if not isinstance(before, Linear) or len(readers[before]) != 1 or before.shape[0] != node.shape[0]:
        return False
    factor, offset = terms(node)
    before.weight = before.weight * factor[:, None, None, None]
    before.bias = before.bias * factor + offset
    before.traced = node.traced
    return True


def forward(node: Node, readers: dict[Node, list[Node]]) -> bool:
    """Into the linear layer behind, if nobody else reads this node. A power of two is free where it is."""
    if len(readers[node]) != 1 or not isinstance(after := readers[node][0], Linear):
        return False
    if isinstance(node, Scale) and is_power_of_two(node.factor):
        return False
    factor, offset = terms(node)
    if not reads_channels(after, node) or (offset.any() and any(after.padding)):
        return False
    absorb(after, factor, offset)
    return True


def reads_channels(after: Linear, node: Node) -> bool:
    """Whether each input channel of the layer lies in one channel of `node`: the same ones, or flattened."""
    return after.geometry.in_channels % node.shape[0] == 0


def absorb(after: Linear, factor: Tensor, offset: Tensor) -> None:
    """W (a x + c) + b as (W a) x + (b + W c), for numbers a and c per channel of x: the layer reads x."""
    g = after.geometry
    per = g.in_channels // len(factor)
    factor, offset = factor.repeat_interleave(per), offset.repeat_interleave(per)
    # The channel that weight[m, i] reads: groups split outputs and inputs alike.
    group = torch.arange(g.out_channels) // (g.out_channels // g.groups)
    width = g.in_channels // g.groups
    channel = group[:, None] * width + torch.arange(width)
    after.bias = after.bias + (after.weight.sum((2, 3)) * offset[channel]).sum(1)
    after.weight = after.weight * factor[channel][:, :, None, None]


def past(node: Node, nodes: list[Node], readers: dict[Node, list[Node]]) -> bool:
    """Swap with the operation behind, if a linear layer comes after that."""
    if len(readers[node]) != 1 or (isinstance(node, Scale) and is_power_of_two(node.factor)):
        return False
    after = readers[node][0]
    if not moves_past(node, after) or not leads_to_linear(after, readers):
        return False
    before = node.inputs[0]
    after.inputs, after.traced = [before], ""
    rewire(nodes, after, node)
    node.inputs, node.traced = [after], ""
    if isinstance(node, Linear) and isinstance(after, Pool):
        node.bias = node.bias * (after.kernel[0] * after.kernel[1])
        node.size = (after.shape[1], after.shape[2])
    node.shape = after.shape
    return True


def moves_past(node: Node, after: Node) -> bool:
    if isinstance(node, Scale):
        return isinstance(after, Pool | Pad | Slice | Reshape)
    assert isinstance(node, Linear)
    return isinstance(after, Pool) and (not any(after.padding) or not node.bias.any())


def leads_to_linear(node: Node, readers: dict[Node, list[Node]]) -> bool:
    """Whether a single line of local operations ends in a linear layer."""
    while isinstance(node, Pool | Pad | Slice | Reshape | Scale):
        if len(readers[node]) != 1:
            return False
        node = readers[node][0]
    return isinstance(node, Linear)


def is_power_of_two(factor: float) -> bool:
    mantissa, _ = torch.frexp(torch.tensor(abs(factor), dtype=torch.float64))
    return mantissa.item() == 0.5
