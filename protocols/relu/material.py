"""Offline material: what one party keeps of the offline phase until the input arrives, and uses once.

A material is an array, None, or a frozen dataclass or tuple of materials. Every array has the images as its
first axis, so what was made for four images serves one and then three.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .activation import Activation

__all__ = ["Stock", "apply", "flat", "join", "nbytes", "rows_of", "shaped", "split"]

T = TypeVar("T")


def apply(function: Callable[..., NDArray[Any]], first: T, *others: T) -> T:
    """The material whose arrays are function(array of first, array of others[0], ...)."""
    if isinstance(first, np.ndarray):
        return function(first, *others)  # type: ignore[return-value]
    if first is None:
        return first
    if isinstance(first, tuple):
        return tuple(apply(function, *parts) for parts in zip(first, *others, strict=True))  # type: ignore[return-value]
    kind: Any = type(first)
    names = _fields(kind)
    if others:
        made = kind(*[apply(function, *(getattr(m, name) for m in (first, *others))) for name in names])
    else:
        made = kind(*[apply(function, getattr(first, name)) for name in names])
    return made  # type: ignore[no-any-return]


@cache
def _fields(kind: type[Any]) -> tuple[str, ...]:
    if not is_dataclass(kind):
        raise ParameterError(f"a {kind.__name__} is no offline material")
    return tuple(f.name for f in fields(kind))


def shaped(act: Activation, batch: int, material: T) -> T:
    """Flat material, as made, with every array as (batch, channels, positions), and words last."""
    return apply(lambda array: array.reshape(*act.shape(batch), *array.shape[1:]), material)


def flat(act: Activation, batch: int, material: T) -> T:
    """The inverse of `shaped`; raises ParameterError for an array not of `batch` images of this layer."""

    shape = act.shape(batch)

    def flatten(array: NDArray[Any]) -> NDArray[Any]:
        if array.shape[:3] != shape:
            raise ParameterError(f"material of shape {array.shape} for a layer of {shape}")
        return array.reshape(-1, *array.shape[3:])

    return apply(flatten, material)


def split(material: T, count: int) -> tuple[T, T]:
    """The material of the first `count` images, and that of the rest."""
    return apply(lambda a: a[:count], material), apply(lambda a: a[count:], material)


def rows_of(material: T, rows: slice) -> T:
    """The rows of every array: a block of flat material."""
    return apply(lambda array: array[rows], material)


def join(materials: Sequence[T]) -> T:
    """The images of all materials, in order."""
    if not materials:
        raise ParameterError("there is no material to join")
    return apply(lambda *arrays: np.concatenate(arrays), *materials)


def nbytes(material: Any) -> int:
    """Bytes that the arrays take."""
    sizes: list[int] = []

    def visit(array: NDArray[Any]) -> NDArray[Any]:
        sizes.append(array.nbytes)
        return array

    apply(visit, material)
    return sum(sizes)


class Stock(Generic[T]):
    """Material of a number of images, first in, first out. `take` removes: nothing is handed out twice."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, T]] = []
        self._lock = Lock()

    def __len__(self) -> int:
        """Images in stock."""
        return sum(count for count, _ in self._parts)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays in stock. The part of a batch that was taken is freed with the batch's last
        image.
        """
        with self._lock:
            return sum(nbytes(material) for _, material in self._parts)

    def add(self, material: T, count: int) -> None:
        """Put in the material of `count` images; raises ParameterError for an array of another number."""
        apply(lambda array: _checked(array, count), material)
        with self._lock:
            self._parts.append((count, material))

    def take(self, count: int) -> T:
        """Remove and return the material of `count` images; raises ParameterError when there are fewer."""
        with self._lock:
            if not 0 < count <= len(self):
                raise ParameterError(f"material for {count} images was asked for, {len(self)} are in stock")
            taken: list[T] = []
            while count:
                size, material = self._parts.pop(0)
                if size > count:
                    material, rest = split(material, count)
                    self._parts.insert(0, (size - count, rest))
                    size = count
                taken.append(material)
                count -= size
        return taken[0] if len(taken) == 1 else join(taken)


def _checked(array: NDArray[Any], count: int) -> NDArray[Any]:
    if array.shape[:1] != (count,):
        raise ParameterError(f"an array of shape {array.shape} in the material of {count} images")
    return array
