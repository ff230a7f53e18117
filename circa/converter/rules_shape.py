"""Rules for operations that move values or cut zeros and pieces, and for those that do nothing."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .capture import BATCH
from .graph import Concat, Node, Pad, Slice
from .site import Site, Unsupported, reshaped

BATCH_REMEDY = "keep the first dimension for the batch"


def identity(site: Site, x: Node, *args: object, **kwargs: object) -> Node:
    return x


def to_copy(site: Site, x: Node, dtype: torch.dtype | None = None, **kwargs: object) -> Node:
    if dtype not in (None, torch.float32):
        raise Unsupported(f"a change of the numbers to {dtype}", "compute in float32 throughout")
    return x


def dropout(site: Site, x: Node, p: float, training: bool) -> Node:
    if training and p:
        raise Unsupported("dropout that is active in eval mode", "pass training=self.training to F.dropout")
    return x


def reshape(site: Site, x: Node, *args: object) -> Node:
    """view, reshape, flatten, squeeze, unsqueeze: the traced shape says it all."""
    return reshaped(site.name, x, site.shape)


def permute(site: Site, x: Node, *args: object, **kwargs: object) -> Node:
    """Only where no dimension longer than one changes its place."""
    dims = args[0] if isinstance(args[0], Sequence) else swap(len(x.shape) + 1, *args)
    order = [d % (len(x.shape) + 1) for d in dims]
    long = [d for d in order if d == 0 or x.shape[d - 1] > 1]
    if order[0] != 0 or long != sorted(long):
        raise Unsupported("dimensions change places", "keep (batch, channels, height, width)")
    return reshaped(site.name, x, site.shape)


def swap(rank: int, *args: object) -> list[int]:
    order = list(range(rank))
    a, b = (int(d) % rank for d in args[:2] if isinstance(d, int))
    order[a], order[b] = order[b], order[a]
    return order


def cut(
    site: Site, x: Node, dim: int = 0, start: int | None = None, stop: int | None = None, step: int = 1
) -> Node:
    """x[..., start:stop:step, ...]."""
    d = axis(x, dim)
    first, last, every = slice(start, stop, step).indices(x.shape[d])
    return piece(site.name, x, d, range(first, last, every))


def select(site: Site, x: Node, dim: int, index: int) -> Node:
    """x[..., index, ...]."""
    d = axis(x, dim)
    i = index % x.shape[d]
    return reshaped(f"{site.name}.shape", piece(site.name, x, d, range(i, i + 1)), site.shape)


def piece(name: str, x: Node, d: int, chosen: range) -> Node:
    """The indices `chosen` of dimension d, d without the batch."""
    if len(chosen) == x.shape[d] and chosen.step == 1:
        return x
    full = [range(n) for n in x.shape]
    full[d] = range(chosen.start, chosen[-1] + 1, chosen.step)
    shape = tuple(len(r) for r in full)
    start, stop, step = (tuple(getattr(r, part) for r in full) for part in ("start", "stop", "step"))
    if isinstance(x, Slice):  # a slice of a slice is one
        before = [range(*bounds) for bounds in zip(x.start, x.stop, x.step, strict=True)]
        both = [b[r.start : r.stop : r.step] for b, r in zip(before, full, strict=True)]
        start, stop, step = (tuple(getattr(r, part) for r in both) for part in ("start", "stop", "step"))
        x = x.inputs[0]
    return Slice(name, [x], shape, start, stop, step)


def gathered(name: str, x: Node, d: int, places: Sequence[int]) -> Node:
    """The indices `places` of dimension d, in any order and more than once, d without the batch."""
    runs: list[range] = []
    for i in places:
        last = runs[-1] if runs else range(0)
        if last and i == last[-1] + last.step and (len(last) > 1 or i == last[-1] + 1):
            runs[-1] = range(last.start, i + 1, last.step)
        else:
            runs.append(range(i, i + 1))
    parts = {run: piece(f"{name}.{i}", x, d, run) for i, run in enumerate(dict.fromkeys(runs))}
    if len(runs) == 1:
        return parts[runs[0]]
    return Concat(name, [parts[run] for run in runs], (*x.shape[:d], len(places), *x.shape[d + 1 :]), d)


def expand(site: Site, x: Node, *args: object, **kwargs: object) -> Node:
    """expand, and the operands of a sum: dimensions of length one are repeated."""
    shape = (1,) * (len(site.shape) - len(x.shape)) + x.shape
    x = reshaped(f"{site.name}.shape", x, shape)
    for d, (n, m) in enumerate(zip(shape, site.shape, strict=True)):
        if n != m:
            x = gathered(f"{site.name}.{d}", x, d, [0] * m)
    return x


def pad(site: Site, x: Node, amounts: Sequence[int], mode: str = "constant", value: float | None = 0) -> Node:
    """F.pad: pairs from the last dimension backwards; negative amounts crop."""
    if mode == "constant":
        return zero_pad(site, x, amounts, value or 0)
    for i in range(len(amounts) // 2):
        d = len(x.shape) - 1 - i
        places = [
            beyond(j, x.shape[d], mode) for j in range(-amounts[2 * i], x.shape[d] + amounts[2 * i + 1])
        ]
        x = gathered(f"{site.name}.axis{d}", x, d, places)
    return x


def beyond(i: int, n: int, mode: str) -> int:
    """Which of n pixels stands at place i, before the first or behind the last."""
    if mode == "replicate":
        return min(max(i, 0), n - 1)
    if mode == "circular":
        return i % n
    return n - 1 - abs(n - 1 - abs(i))  # reflect


def zero_pad(site: Site, x: Node, amounts: Sequence[int], value: float = 0) -> Node:
    if value:
        raise Unsupported(f"padding with {value}", "pad with zeros")
    pairs = [(amounts[i], amounts[i + 1]) for i in range(0, len(amounts), 2)]
    if len(pairs) > len(x.shape):
        raise Unsupported("padding of the batch", BATCH_REMEDY)
    pairs = [(0, 0)] * (len(x.shape) - len(pairs)) + pairs[::-1]
    for d, (before, after) in enumerate(pairs):
        cropped = range(max(-before, 0), x.shape[d] - max(-after, 0))
        x = piece(f"{site.name}.crop{d}" if len(pairs) > 1 else f"{site.name}.crop", x, d, cropped)
    flat = tuple(max(amount, 0) for pair in pairs for amount in pair)
    return Pad(site.name, [x], site.shape, flat) if any(flat) else x


def concatenate(site: Site, tensors: Sequence[object], dim: int = 0) -> Node:
    """Constant zeros become padding: the shortcut that widens a ResNet, written with torch.cat."""
    nodes = [x for x in tensors if isinstance(x, Node)]
    d = axis(nodes[0], dim)
    parts: list[Node] = []
    before = 0
    for i, x in enumerate(tensors):
        if isinstance(x, Tensor) and not x.any():
            before += x.shape[d + 1]
        elif isinstance(x, Node):
            parts.append(padded(f"{site.name}.zeros{i}", x, d, before, 0))
            before = 0
        else:
            raise Unsupported("a constant is joined to values", "pad with zeros instead")
    parts[-1] = padded(f"{site.name}.zeros", parts[-1], d, 0, before)
    return parts[0] if len(parts) == 1 else Concat(site.name, parts, site.shape, d)


def stack(site: Site, tensors: Sequence[Node], dim: int = 0) -> Node:
    """Along a new dimension."""
    d = dim % (len(site.shape) + 1) - 1
    if d < 0:
        raise Unsupported("it runs over the batch", BATCH_REMEDY)
    one = (*site.shape[:d], 1, *site.shape[d + 1 :])
    return concatenate(site, [reshaped(f"{site.name}.{i}", x, one) for i, x in enumerate(tensors)], d + 1)


def unbind(site: Site, x: Node, dim: int = 0) -> tuple[Node, ...]:
    pieces = split(site, x, 1, dim)
    return tuple(reshaped(f"{site.name}.shape{i}", part, site.shape) for i, part in enumerate(pieces))


def padded(name: str, x: Node, d: int, before: int, after: int) -> Node:
    """Zeros along dimension d."""
    if not before and not after:
        return x
    amounts = [0] * (2 * len(x.shape))
    amounts[2 * d : 2 * d + 2] = before, after
    return Pad(name, [x], (*x.shape[:d], x.shape[d] + before + after, *x.shape[d + 1 :]), tuple(amounts))


def zeros_like(site: Site, x: Node, *args: object, **kwargs: object) -> Tensor:
    """zeros_like and new_zeros: constants, whatever the input."""
    return torch.zeros(BATCH, *site.shape)


def split(site: Site, x: Node, sizes: int | Sequence[int], dim: int = 0) -> tuple[Node, ...]:
    """split, chunk: several results."""
    d = axis(x, dim)
    if isinstance(sizes, int):
        sizes = [min(sizes, x.shape[d] - start) for start in range(0, x.shape[d], sizes)]
    pieces, start = [], 0
    for i, size in enumerate(sizes):
        pieces.append(piece(f"{site.name}.{i}", x, d, range(start, start + size)))
        start += size
    return tuple(pieces)


def axis(x: Node, dim: int) -> int:
    """A dimension counted without the batch."""
    d = dim % (len(x.shape) + 1)
    if d == 0:
        raise Unsupported("it runs over the batch", BATCH_REMEDY)
    return d - 1
