"""What a rule knows about the place it converts, and how it says that it cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor

from .graph import Linear, Node, Reshape, Scale

__all__ = [
    "Site",
    "Unsupported",
    "broadcasts",
    "is_number",
    "over",
    "per_channel",
    "reshaped",
    "scaled",
    "without_batch",
]

Shape = tuple[int, ...]


class Unsupported(Exception):
    """This operation does not convert: why, and what to use instead."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class Site:
    """A unique name for the result (the module's path) and its shape for one image."""

    name: str
    shape: Shape


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def over(numbers: Sequence[int], rank: int) -> list[int]:
    """One number an axis, as PyTorch takes them: one for all, or as many."""
    return list(numbers) * rank if len(numbers) == 1 else list(numbers)


def reshaped(name: str, x: Node, shape: Shape) -> Node:
    return x if x.shape == shape else Reshape(name, [x], shape)


def scaled(name: str, x: Node, factor: float) -> Node:
    """factor * x, as an exact power of two and a rest in [1, 2) that a linear layer may absorb."""
    if factor == 0:
        raise Unsupported("the result is always zero", "remove it")
    mantissa, exponent = torch.frexp(torch.tensor(factor, dtype=torch.float64))
    rest, power = 2 * mantissa.item(), 2.0 ** (int(exponent) - 1)
    if power != 1:
        x = Scale(f"{name}.power", [x], x.shape, power)
    return x if rest == 1 else Scale(name, [x], x.shape, rest)


def per_channel(name: str, x: Node, factor: Tensor, offset: Tensor) -> Node:
    """factor[c] * x[c] + offset[c] over the first dimension: a 1x1 convolution with one group a channel."""
    channels = x.shape[0]
    factor, offset = factor.double().expand(channels), offset.double().expand(channels)
    if not offset.any() and (factor == factor[0]).all():
        return scaled(name, x, factor[0].item())
    size = (1, x.elements // channels) if len(x.shape) != 3 else (x.shape[1], x.shape[2])
    shape = x.shape if len(x.shape) in (1, 3) else (channels, *size)
    weight = factor.reshape(channels, 1, 1, 1).clone()
    node = Linear(name, [x], shape, size, weight, offset.clone(), groups=channels)
    return reshaped(f"{name}.shape", node, x.shape)


def broadcasts(constant: Tensor | float, x: Node) -> Tensor:
    """A constant as one number per channel of x. Raises Unsupported where it varies within a channel."""
    c = without_batch(torch.as_tensor(constant, dtype=torch.float64), x)
    channels = x.shape[0]
    if c.ndim > len(x.shape):
        raise Unsupported(
            f"a constant of shape {tuple(c.shape)} changes the shape", "use a number per channel"
        )
    c = c.reshape((1,) * (len(x.shape) - c.ndim) + tuple(c.shape))
    rows = c.expand(x.shape).reshape(channels, -1)
    if not torch.equal(rows, rows[:, :1].expand_as(rows)):
        raise Unsupported("a constant differs from pixel to pixel", "use one number, or one per channel")
    return rows[:, 0].clone()


def without_batch(constant: Tensor, x: Node) -> Tensor:
    """A constant without its dimension for the batch, where it has one and all images agree."""
    alike = constant.ndim == len(x.shape) + 1 and torch.equal(constant, constant[:1].expand_as(constant))
    return constant[0] if alike else constant
