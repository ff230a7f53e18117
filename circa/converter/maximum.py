"""Max-pooling as ReLUs: max(a, b) = b + ReLU(a - b), rows first, then columns, each a tree of pairs.

An activation that never falls commutes with the maximum. Behind it, the activation has fewer values to
work on: with 2x2 windows 1 + 3 sign tests an output instead of 4 + 3.
"""

from itertools import accumulate

from .graph import Activate, Add, MaxPool, Node, consumers, rewire, topological
from .rules_shape import gathered, piece

__all__ = ["expand_maxima"]


def expand_maxima(output: Node) -> Node:
    """The same network without MaxPool. Nodes are changed in place."""
    for pool in [n for n in topological(output) if isinstance(n, MaxPool)]:
        nodes = topological(output)
        before = pool.inputs[0]
        if isinstance(before, Activate) and never_falls(before) and len(consumers(nodes)[before]) == 1:
            rewire(nodes, pool, before)
            pool.inputs, before.inputs = before.inputs, [pool]
            before.shape, before.traced, pool.traced = pool.shape, pool.traced, ""
            output = before if pool is output else output
        tree = expand(pool)
        rewire(nodes, pool, tree)
        output = tree if pool is output else output
    return output


def never_falls(node: Activate) -> bool:
    """Whether every slope, the sum of the coefficients up to a knot, is at least zero, for all elements
    alike.
    """
    return node.mask is None and all(
        slope >= 0 for slope in accumulate(c for _, c in sorted(zip(node.knots, node.coefs, strict=True)))
    )


def expand(pool: MaxPool) -> Node:
    x = pool.inputs[0]
    for side, name in ((0, "rows"), (1, "columns")):
        kernel, stride = pool.kernel[side], pool.stride[side]
        before, after = pool.padding[2 * side : 2 * side + 2]
        if kernel > 1 or stride > 1:
            x = edged(f"{pool.name}.{name}.padded", x, side + 1, before, after)
            x = over_axis(f"{pool.name}.{name}", x, side + 1, kernel, stride, pool.shape[side + 1])
    x.traced = pool.traced
    return x


def edged(name: str, x: Node, axis: int, before: int, after: int) -> Node:
    """The edges again: they lie in every window that the padding reaches, and change no maximum."""
    n = x.shape[axis]
    return gathered(name, x, axis, [min(max(i, 0), n - 1) for i in range(-before, n + after)])


def over_axis(name: str, x: Node, axis: int, kernel: int, stride: int, windows: int) -> Node:
    """The maximum over `kernel` neighbours along one dimension."""
    values = [
        piece(f"{name}.{i}", x, axis, range(i, i + stride * (windows - 1) + 1, stride)) for i in range(kernel)
    ]
    step = 0
    while len(values) > 1:
        pairs = list(zip(values[::2], values[1::2], strict=False))
        rest = values[len(pairs) * 2 :]
        values = [maximum(f"{name}.max{step + i}", a, b) for i, (a, b) in enumerate(pairs)] + rest
        step += len(pairs)
    return values[0]


def maximum(name: str, a: Node, b: Node) -> Node:
    difference = Add(f"{name}.difference", [a, b], a.shape, (1, -1))
    positive = Activate(f"{name}.relu", [difference], a.shape, rescale=False)
    return Add(name, [b, positive], a.shape, (1, 1))
