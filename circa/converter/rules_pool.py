"""Rules for pooling: sums, averages and maxima over windows of pixels.

Windows of different sizes (adaptive pooling, ceil_mode, count_include_pad=False) are made equal by writing
their pixels more than once, side by side: neither an average nor a maximum changes, and nothing is rounded.
"""

import math
from collections.abc import Sequence

from .graph import MaxPool, Node, Pad, Pool
from .rules_shape import BATCH_REMEDY, gathered
from .site import Site, Unsupported, over, reshaped, scaled


def average_pool(
    site: Site,
    x: Node,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Node:
    """avg_pool1d and avg_pool2d."""
    k, s, p = window(x, kernel, stride, padding)
    regular = tuple(sizes(x, k, s, p)) == site.shape[1:]
    if regular and (count_include_pad or divisor_override or not any(p)):
        return summed(site, x, k, s, p, divisor_override or math.prod(k))
    if divisor_override:
        raise Unsupported("ceil_mode together with a divisor", "use ceil_mode=False, or pad first")
    if count_include_pad and any(p):
        around = [(amount, amount) for amount in p]
        shape = (x.shape[0], *(n + 2 * a for n, a in zip(x.shape[1:], p, strict=True)))
        flat = (0, 0, *(amount for pair in around for amount in pair))
        x, p = Pad(f"{site.name}.padded", [x], shape, flat), [0] * len(p)
    starts = ([i * step - a for i in range(m)] for m, step, a in zip(site.shape[1:], s, p, strict=True))
    windows = [
        [range(max(start, 0), min(start + size, n)) for start in line]
        for line, size, n in zip(starts, k, x.shape[1:], strict=True)
    ]
    return averaged(site, x, windows)


def adaptive_average_pool(site: Site, x: Node, size: Sequence[int]) -> Node:
    check_rank(x)
    return averaged(site, x, adaptive(x, site.shape))


def averaged(site: Site, x: Node, windows: list[list[range]]) -> Node:
    """Averages over the windows of every axis: a pixel of one of k is written L/k times, L for all alike."""
    lengths = [math.lcm(*map(len, ranges)) for ranges in windows]
    for axis, (ranges, length) in enumerate(zip(windows, lengths, strict=True), 1):
        places = [i for r in ranges for i in r for _ in range(length // len(r))]
        x = gathered(f"{site.name}.axis{axis}", x, axis, places)
    return summed(site, x, lengths, lengths, [0] * len(lengths), math.prod(lengths))


def mean(
    site: Site, x: Node, dims: Sequence[int] | None = None, keepdim: bool = False, **kwargs: object
) -> Node:
    return over_dimensions(site, x, dims, average=True)


def total(
    site: Site, x: Node, dims: Sequence[int] | None = None, keepdim: bool = False, **kwargs: object
) -> Node:
    return over_dimensions(site, x, dims, average=False)


def over_dimensions(site: Site, x: Node, dims: Sequence[int] | None, average: bool) -> Node:
    """Sums over whole dimensions; over pixels alone it is one pooling."""
    chosen = dimensions(x, dims)
    divisor = math.prod(x.shape[d] for d in chosen) if average else 1
    if 0 not in chosen and len(x.shape) in (2, 3):
        kernel = [n if d in chosen else 1 for d, n in enumerate(x.shape)][1:]
        return summed(site, x, kernel, kernel, [0] * len(kernel), divisor)
    for d in chosen:
        before, after = math.prod(x.shape[:d]), math.prod(x.shape[d + 1 :])
        kept = (*x.shape[:d], 1, *x.shape[d + 1 :])
        rows = reshaped(f"{site.name}.rows{d}", x, (before, x.shape[d], after))
        lines = Pool(f"{site.name}.sum{d}", [rows], (before, 1, after), (x.shape[d], 1), (1, 1))
        x = reshaped(f"{site.name}.kept{d}", lines, kept)
    return reshaped(f"{site.name}.shape", scaled(site.name, x, 1 / divisor), site.shape)


def dimensions(x: Node, dims: Sequence[int] | None) -> list[int]:
    """Without the batch, in order; all of them for None."""
    rank = len(x.shape) + 1
    chosen = sorted({d % rank for d in (range(rank) if dims is None else dims)})
    if 0 in chosen:
        raise Unsupported("it runs over the batch", BATCH_REMEDY)
    return [d - 1 for d in chosen]


def summed(
    site: Site, x: Node, kernel: list[int], stride: list[int], padding: list[int], divisor: int
) -> Node:
    """Sums over windows, divided by `divisor`."""
    check_rank(x)
    if len(x.shape) == 2:
        kernel, stride, padding = [1, *kernel], [1, *stride], [0, *padding]
        x = reshaped(f"{site.name}.row", x, (x.shape[0], 1, x.shape[1]))
    if kernel != [1, 1] or stride != [1, 1] or padding != [0, 0]:
        shape = (x.shape[0], *sizes(x, kernel, stride, padding))
        k, s, p = ((a, b) for a, b in (kernel, stride, padding))
        x = Pool(f"{site.name}.sum" if divisor != 1 else site.name, [x], shape, k, s, p)
    return reshaped(f"{site.name}.shape", scaled(site.name, x, 1 / divisor), site.shape)


def max_pool(
    site: Site,
    x: Node,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Node:
    """max_pool1d and max_pool2d. With ceil_mode the last window reaches farther over the edge."""
    if any(d != 1 for d in dilation):
        raise Unsupported("a dilated maximum", "use dilation=1")
    k, s, before = window(x, kernel, stride, padding)
    ends = zip(x.shape[1:], site.shape[1:], k, s, before, strict=True)
    after = [max(0, (m - 1) * step + size - n - p) for n, m, size, step, p in ends]
    return maximum(site, x, k, s, before, after)


def adaptive_max_pool(site: Site, x: Node, size: Sequence[int]) -> tuple[Node]:
    """Values without their indices. A window that is too short repeats its last pixel."""
    check_rank(x)
    lengths = []
    for axis, ranges in enumerate(adaptive(x, site.shape), 1):
        lengths.append(max(map(len, ranges)))
        places = [min(r.start + i, r.stop - 1) for r in ranges for i in range(lengths[-1])]
        x = gathered(f"{site.name}.axis{axis}", x, axis, places)
    none = [0] * len(lengths)
    return (maximum(site, x, lengths, lengths, none, none),)


def largest(site: Site, x: Node, dims: Sequence[int] = (), keepdim: bool = False) -> Node:
    """amax over pixels: global maximum pooling."""
    chosen = dimensions(x, dims or None)
    if 0 in chosen:
        raise Unsupported("a maximum over the channels", "take it over height and width only")
    kernel = [n if d in chosen else 1 for d, n in enumerate(x.shape)][1:]
    none = [0] * len(kernel)
    return maximum(site, x, kernel, kernel, none, none)


def maximum(
    site: Site, x: Node, kernel: list[int], stride: list[int], before: list[int], after: list[int]
) -> Node:
    check_rank(x)
    if len(x.shape) == 2:
        kernel, stride, before, after = [1, *kernel], [1, *stride], [0, *before], [0, *after]
        x = reshaped(f"{site.name}.row", x, (x.shape[0], 1, x.shape[1]))
    ends = zip(x.shape[1:], kernel, stride, before, after, strict=True)
    shape = (x.shape[0], *((n + b + a - k) // s + 1 for n, k, s, b, a in ends))
    around = (before[0], after[0], before[1], after[1])
    node = MaxPool(site.name, [x], shape, (kernel[0], kernel[1]), (stride[0], stride[1]), around)
    return reshaped(f"{site.name}.shape", node, site.shape)


def window(
    x: Node, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """Kernel, stride and padding of every axis of pixels."""
    check_rank(x)
    rank = len(x.shape) - 1
    return over(kernel, rank), over(stride or kernel, rank), over(padding, rank)


def sizes(x: Node, kernel: list[int], stride: list[int], padding: list[int]) -> list[int]:
    """Windows that fit along every axis."""
    ends = zip(x.shape[1:], kernel, stride, padding, strict=True)
    return [(n + 2 * p - k) // s + 1 for n, k, s, p in ends]


def adaptive(x: Node, shape: Sequence[int]) -> list[list[range]]:
    """The windows of PyTorch's adaptive pooling: m of them cover n pixels, from floor(i n/m) to
    ceil((i+1) n/m).
    """
    axes = zip(x.shape[1:], shape[1:], strict=True)
    return [[range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in axes]


def check_rank(x: Node) -> None:
    if len(x.shape) not in (2, 3):
        raise Unsupported(f"it pools a value of shape {x.shape}", "pool (batch, channels, height, width)")
