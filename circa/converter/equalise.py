"""Channels of one layer brought to one range, by the homogeneity of ReLU: ReLU(s z) = s ReLU(z) for s > 0.

    W2 ReLU(W1 x + b1)  =  (W2 / s) ReLU((s W1) x + s b1)       s a power of two per channel

For sign tests that treat all channels of a layer alike: one window for the layer, or one number of
truncated bits. A window per channel makes it superfluous. The second layer loses log2(s) weight bits in
the channels that were small, so s is at most MOST. Only lines without branches are changed: layer, ReLU,
pooling, layer.
"""

import torch

from .calibrate import Ranges
from .fold import absorb, reads_channels
from .graph import Activate, Linear, Node, Pad, Pool, Scale, Slice, consumers

__all__ = ["MOST", "equalise"]

MOST = 4.0


def equalise(nodes: list[Node], ranges: Ranges) -> None:
    """Changes weights and ranges in place."""
    readers = consumers(nodes)
    for node in nodes:
        if not isinstance(node, Linear) or len(readers[node]) != 1:
            continue
        activation = readers[node][0]
        if not isinstance(activation, Activate) or activation.knots != (0.0,):
            continue
        line, after = line_to_linear(activation, readers)
        if after is None:
            continue
        far = ranges.far(activation)
        if not far.max() > 0:  # a mask keeps nothing
            continue
        factor = 2.0 ** torch.floor(torch.log2((far.max() / far).clamp(1.0, MOST)))
        node.weight = node.weight * factor[:, None, None, None]
        node.bias = node.bias * factor
        absorb(after, 1 / factor, torch.zeros_like(factor))
        ranges.low[activation] *= factor
        ranges.high[activation] *= factor
        ranges.largest[node] = (far * factor).max().item()
        for between in line:
            ranges.largest[between] *= factor.max().item()  # at most: the small channels grew


def line_to_linear(node: Node, readers: dict[Node, list[Node]]) -> tuple[list[Node], Linear | None]:
    """The values from an activation on, channels untouched, and the linear layer that alone reads the last
    of them.
    """
    line = [node]
    while len(readers[line[-1]]) == 1:
        after = readers[line[-1]][0]
        if isinstance(after, Linear):
            return line, after if reads_channels(after, node) else None
        if not isinstance(after, Pool | Scale | Pad | Slice) or after.shape[0] != node.shape[0]:
            break
        line.append(after)
    return line, None
