"""Rules for sums, for products with constants and for choices by constant masks."""

import torch
from torch import Tensor

from .graph import Add, Node, Select
from .rules_product import product
from .rules_shape import expand
from .site import Site, Unsupported, broadcasts, is_number, per_channel, scaled, without_batch

Value = Node | Tensor | float


def add(site: Site, x: Value, y: Value, alpha: float = 1) -> Node:
    if isinstance(x, Node) and isinstance(y, Node):
        if abs(alpha) != 1:
            y, alpha = scaled(f"{site.name}.alpha", y, alpha), 1
        wide = [expand(Site(f"{site.name}.wide{i}", site.shape), v) for i, v in enumerate((x, y))]
        return Add(site.name, wide, site.shape, (1, int(alpha)))
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
    c = without_batch(torch.as_tensor(factor).double(), x)
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
            whole = without_batch(mask, value).expand(value.shape)
            parts.append(Select(f"{site.name}.{i}", [value], value.shape, whole))
        elif torch.as_tensor(value).any():
            raise Unsupported("a choice between a value and a constant", "choose between a value and zero")
    if any(part.shape != site.shape for part in parts):
        raise Unsupported("the choice changes the shape", "expand the values first")
    return parts[0] if len(parts) == 1 else Add(site.name, [*parts], site.shape, (1, 1))


def masked_fill(site: Site, x: Node, mask: Value, value: Value) -> Node:
    """Zeros where the constant mask is true."""
    if not isinstance(mask, Tensor):
        raise Unsupported("a choice that depends on the input", "choose by a constant mask")
    return where(site, ~mask.bool(), x, value)


def divide(site: Site, x: Value, y: Value) -> Node:
    if isinstance(y, Node):
        raise Unsupported("a division by a value that depends on the input", "divide by a constant")
    return multiply(site, x, 1 / y if is_number(y) else torch.as_tensor(y).double().reciprocal())


def negate(site: Site, x: Node) -> Node:
    return scaled(site.name, x, -1.0)


def same_shape(site: Site, x: Node) -> None:
    if site.shape != x.shape:
        raise Unsupported(f"a constant changes the shape from {x.shape} to {site.shape}", "expand it first")
