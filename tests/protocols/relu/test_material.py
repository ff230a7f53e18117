"""Offline material: divided by images, joined again, handed out once."""

from dataclasses import dataclass

import numpy as np
import pytest

from circa.protocols.errors import ParameterError
from circa.protocols.relu import Activation
from circa.protocols.relu.material import Stock, flat, join, nbytes, rows_of, shaped, split
from circa.protocols.shares import RING32


@dataclass(frozen=True)
class Inner:
    bits: tuple[np.ndarray, ...]
    absent: np.ndarray | None


@dataclass(frozen=True)
class Outer:
    words: np.ndarray
    inner: Inner


def material(start, count):
    """Every array holds its image's number first."""
    images = np.arange(start, start + count)
    words = np.broadcast_to(images[:, None, None], (count, 2, 3)).astype(np.uint32)
    return Outer(words, Inner((words.astype(np.uint8), words[..., None].astype(np.uint16)), None))


def images(m):
    """The image numbers of all arrays, which must agree."""
    arrays = [m.words, *m.inner.bits]
    numbers = [array.reshape(array.shape[0], -1)[:, 0].tolist() for array in arrays]
    assert numbers == [numbers[0]] * 3
    assert m.inner.absent is None
    return numbers[0]


def test_split_and_join():
    first, rest = split(material(0, 4), 1)
    assert images(first) == [0]
    assert images(rest) == [1, 2, 3]
    assert images(join([rest, first])) == [1, 2, 3, 0]
    assert images(rows_of(material(0, 4), slice(1, 3))) == [1, 2]


def test_nbytes():
    assert nbytes(material(0, 4)) == 4 * 6 * (4 + 1 + 2)


def test_flat_and_shaped():
    act = Activation(RING32, 2, 3)
    flattened = flat(act, 4, material(0, 4))
    assert flattened.words.shape == (24,)
    assert flattened.inner.bits[1].shape == (24, 1)
    assert images(shaped(act, 4, flattened)) == [0, 1, 2, 3]
    for wrong in (Activation(RING32, 3, 2), Activation(RING32, 2, 4)):
        with pytest.raises(ParameterError, match="material of shape"):
            flat(wrong, 4, material(0, 4))
    with pytest.raises(ParameterError, match="material of shape"):
        flat(act, 3, material(0, 4))


def test_stock_hands_out_each_image_once():
    stock = Stock()
    stock.add(material(0, 4), 4)
    stock.add(material(4, 2), 2)
    taken = [stock.take(count) for count in (1, 4, 1)]
    assert [images(m) for m in taken] == [[0], [1, 2, 3, 4], [5]]
    assert len(stock) == 0
    with pytest.raises(ParameterError, match="0 are in stock"):
        stock.take(1)


def test_stock_refuses_when_short_and_keeps_what_it_has():
    stock = Stock()
    stock.add(material(0, 3), 3)
    for count in (4, 0, -1):
        with pytest.raises(ParameterError, match="3 are in stock"):
            stock.take(count)
    assert images(stock.take(3)) == [0, 1, 2]


def test_stock_checks_the_count():
    with pytest.raises(ParameterError, match="material of 4 images"):
        Stock().add(material(0, 3), 4)


def test_only_material():
    with pytest.raises(ParameterError, match="no offline material"):
        split([np.zeros(3)], 1)
    with pytest.raises(ParameterError, match="no material"):
        join([])
