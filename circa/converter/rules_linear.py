"""Rules for what is linear in the input: convolutions, matrices, normalisation, sums, products with
constants.

A rule takes a `Site` and an ATen operation's arguments, values as nodes and constants as tensors, and
returns a node.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .graph import Add, Linear, Node, Pool, Select
from .rules_product import product
from .site import Site, Unsupported, broadcasts, is_number, per_channel, reshaped, scaled

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


def over(numbers: Sequence[int], rank: int) -> list[int]:
    return list(numbers) * rank if len(numbers) == 1 else list(numbers)


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
    rank = len(x.shape) - 1
    k, p = over(kernel, rank), over(padding, rank)
    s = over(stride, rank) if stride else k
    floors = [(n + 2 * b - a) // c + 1 for n, a, b, c in zip(x.shape[1:], k, p, s, strict=True)]
    if tuple(floors) != site.shape[1:]:
        raise Unsupported(
            "ceil_mode gives windows of different sizes here", "use ceil_mode=False, or pad first"
        )
    if any(p) and not count_include_pad and divisor_override is None:
        raise Unsupported(
            "averages over different numbers of pixels", "use count_include_pad=True, or padding=0"
        )
    return pooled(site, x, k, s, p, divisor_override or math.prod(k))


def adaptive_average_pool(site: Site, x: Node, size: Sequence[int]) -> Node:
    kernel = [n // m for n, m in zip(x.shape[1:], site.shape[1:], strict=True)]
    if any(n % m for n, m in zip(x.shape[1:], site.shape[1:], strict=True)):
        raise Unsupported(
            f"{x.shape[1:]} pixels do not divide into {site.shape[1:]} windows of one size",
            "choose an output size that divides the input's",
        )
    return pooled(site, x, kernel, kernel, [0] * len(kernel), math.prod(kernel))


def mean(
    site: Site, x: Node, dims: Sequence[int] | None = None, keepdim: bool = False, **kwargs: object
) -> Node:
    return pooled_over(site, x, dims, average=True)


def total(
    site: Site, x: Node, dims: Sequence[int] | None = None, keepdim: bool = False, **kwargs: object
) -> Node:
    return pooled_over(site, x, dims, average=False)


def pooled_over(site: Site, x: Node, dims: Sequence[int] | None, average: bool) -> Node:
    rank = len(x.shape) + 1
    chosen = {d % rank for d in (range(rank) if dims is None else dims)}
    if 0 in chosen or 1 in chosen or rank not in (3, 4):
        raise Unsupported(
            f"it runs over the batch or the channels of {x.shape}", "average over height and width only"
        )
    kernel = [n if d + 2 in chosen else 1 for d, n in enumerate(x.shape[1:])]
    return pooled(site, x, kernel, kernel, [0] * len(kernel), math.prod(kernel) if average else 1)


def pooled(
    site: Site, x: Node, kernel: list[int], stride: list[int], padding: list[int], divisor: int
) -> Node:
    """Sums over windows, divided by `divisor`."""
    if len(x.shape) not in (2, 3):
        raise Unsupported(f"it pools a value of shape {x.shape}", "pool (batch, channels, height, width)")
    if len(x.shape) == 2:
        kernel, stride, padding = [1, *kernel], [1, *stride], [0, *padding]
        x = reshaped(f"{site.name}.row", x, (x.shape[0], 1, x.shape[1]))
    if kernel != [1, 1] or stride != [1, 1] or padding != [0, 0]:
        ends = zip(x.shape[1:], kernel, stride, padding, strict=True)
        shape = (x.shape[0], *((n + 2 * p - k) // s + 1 for n, k, s, p in ends))
        k, s, p = ((a, b) for a, b in (kernel, stride, padding))
        x = Pool(f"{site.name}.sum" if divisor != 1 else site.name, [x], shape, k, s, p)
    return reshaped(f"{site.name}.shape", scaled(site.name, x, 1 / divisor), site.shape)


def add(site: Site, x: Value, y: Value, alpha: float = 1) -> Node:
    if isinstance(x, Node) and isinstance(y, Node):
        if x.shape != y.shape:
            raise Unsupported(f"operands of shapes {x.shape} and {y.shape}", "make the shapes equal first")
        if abs(alpha) != 1:
            y, alpha = scaled(f"{site.name}.alpha", y, alpha), 1
        return Add(site.name, [x, y], x.shape, (1, int(alpha)))
    if isinstance(x, Node):
        assert not isinstance(y, Node)
        return plus(site, x, 1.0, torch.as_tensor(y) * alpha)
    assert isinstance(y, Node)
    return plus(site, y, alpha, torch.as_tensor(x))


def subtract(site: Site, x: Value, y: Value, alpha: float = 1) -> Node:
    return add(site, x, y, -alpha)


def subtract_from(site: Site, x: Value, y: Value, alpha: float = 1) -> Node:
    return add(site, y, x, -alpha)


def plus(site: Site, x: Node, factor: float, offset: Tensor) -> Node:
    same_shape(site, x)
    return per_channel(site.name, x, torch.tensor(factor, dtype=torch.float64), broadcasts(offset, x))


def multiply(site: Site, x: Value, y: Value) -> Node:
    if isinstance(x, Node) and isinstance(y, Node):
        return product(site, x, y)
    node, factor = (x, y) if isinstance(x, Node) else (y, x)
    assert isinstance(node, Node)
    assert not isinstance(factor, Node)
    same_shape(site, node)
    if (mask := as_mask(factor, node)) is not None:
        return Select(site.name, [node], node.shape, mask)
    factors = broadcasts(factor, node)
    return per_channel(site.name, node, factors, torch.zeros(1))


def as_mask(factor: Tensor | float, x: Node) -> Tensor | None:
    """A factor of zeros and ones, not all of them ones, as a bool tensor of x's shape."""
    c = torch.as_tensor(factor).double()
    c = c[0] if c.ndim == len(x.shape) + 1 else c
    if not ((c == 0) | (c == 1)).all() or c.all():
        return None
    return c.bool().expand(x.shape)


def where(site: Site, chosen: Value, x: Value, y: Value) -> Node:
    """By a constant condition: x * m + y * (1 - m)."""
    if not isinstance(chosen, Tensor):
        raise Unsupported("a choice that depends on the input", "choose by a constant mask")
    parts = []
    for i, (value, mask) in enumerate(((x, chosen.bool()), (y, ~chosen.bool()))):
        if isinstance(value, Node):
            whole = mask[0] if mask.ndim == len(value.shape) + 1 else mask
            parts.append(Select(f"{site.name}.{i}", [value], value.shape, whole.expand(value.shape)))
        elif torch.as_tensor(value).any():
            raise Unsupported("a choice between a value and a constant", "choose between a value and zero")
    if any(part.shape != site.shape for part in parts):
        raise Unsupported("the choice changes the shape", "expand the values first")
    return parts[0] if len(parts) == 1 else Add(site.name, [*parts], site.shape, (1, 1))


def divide(site: Site, x: Value, y: Value) -> Node:
    if isinstance(y, Node):
        raise Unsupported("a division by a value that depends on the input", "divide by a constant")
    return multiply(site, x, 1 / y if is_number(y) else torch.as_tensor(y).double().reciprocal())


def negate(site: Site, x: Node) -> Node:
    return scaled(site.name, x, -1.0)


def same_shape(site: Site, x: Node) -> None:
    if site.shape != x.shape:
        raise Unsupported(f"a constant changes the shape from {x.shape} to {site.shape}", "expand it first")
