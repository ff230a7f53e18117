"""Max-pooling as ReLUs: max(a, b) = b + ReLU(a - b), rows first, then columns, each a tree of pairs.

An activation that never falls commutes with the maximum. Behind it, the activation has fewer values to
work on: with 2x2 windows 1 + 3 sign tests an output instead of 4 + 3.
"""

from itertools import accumulate

from .graph import Activate, Add, Concat, MaxPool, Node, Slice, consumers, rewire, topological

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
        kernel, stride, padding = pool.kernel[side], pool.stride[side], pool.padding[side]
        if kernel > 1 or stride > 1:
            x = over_axis(f"{pool.name}.{name}", x, side + 1, kernel, stride, padding, pool.shape[side + 1])
    x.traced = pool.traced
    return x


def over_axis(name: str, x: Node, axis: int, kernel: int, stride: int, padding: int, windows: int) -> Node:
    """The maximum over `kernel` neighbours along one dimension."""
    if padding:  # the edge again: it lies in every window that the padding reaches, and changes no maximum
        first, last = 0, x.shape[axis] - 1
        edges = [strided(f"{name}.edge{i}", x, axis, range(i, i + 1)) for i in (first, last)]
        parts = [edges[0]] * padding + [x] + [edges[1]] * padding
        shape = (*x.shape[:axis], x.shape[axis] + 2 * padding, *x.shape[axis + 1 :])
        x = Concat(f"{name}.padded", parts, shape, axis)
    values = [
        strided(f"{name}.{i}", x, axis, range(i, i + stride * (windows - 1) + 1, stride))
        for i in range(kernel)
    ]
    step = 0
    while len(values) > 1:
        pairs = list(zip(values[::2], values[1::2], strict=False))
        rest = values[len(pairs) * 2 :]
        values = [maximum(f"{name}.max{step + i}", a, b) for i, (a, b) in enumerate(pairs)] + rest
        step += len(pairs)
    return values[0]


def strided(name: str, x: Node, axis: int, chosen: range) -> Node:
    start, stop, step = [0] * len(x.shape), list(x.shape), [1] * len(x.shape)
    start[axis], stop[axis], step[axis] = chosen.start, chosen.stop, chosen.step
    shape = (*x.shape[:axis], len(chosen), *x.shape[axis + 1 :])
    return Slice(name, [x], shape, tuple(start), tuple(stop), tuple(step))


def maximum(name: str, a: Node, b: Node) -> Node:
    difference = Add(f"{name}.difference", [a, b], a.shape, (1, -1))
    positive = Activate(f"{name}.relu", [difference], a.shape, rescale=False)
    return Add(name, [b, positive], a.shape, (1, 1))
