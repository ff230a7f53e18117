"""One message made of packed columns, written and read in blocks of elements.

A message is the concatenation of its columns; a column of `width` bits an element takes ceil(count * width
/ 8) bytes (packing.py). Blocks start at multiples of 8 elements, so that each one covers whole bytes of
every column.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..packing import pack, packed_size, unpack

__all__ = ["BLOCK", "Column", "Columns", "blocks", "message_size"]

BLOCK = 1 << 15  # elements: the arrays of one block stay in the second-level cache


def blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


@dataclass(frozen=True)
class Column:
    """`width` bits an element, in memory words of `dtype`, several an element where the width is larger."""

    width: int
    dtype: np.dtype[Any]

    @property
    def words(self) -> int:
        return max(1, self.width // (8 * self.dtype.itemsize))

    @property
    def whole(self) -> bool:
        """The words travel as they are."""
        return self.width == 8 * self.dtype.itemsize * self.words


class Columns:
    """A message of `count` elements, to be filled or, given the received `data`, to be read."""

    def __init__(self, count: int, columns: Sequence[Column], data: bytes | None = None):
        self.size = message_size(count, columns)
        self.data = np.empty(self.size, np.uint8) if data is None else np.frombuffer(data, np.uint8)
        self._columns: list[tuple[Column, NDArray[np.uint8]]] = []
        start = 0
        for column in columns:
            stop = start + packed_size(count, column.width)
            self._columns.append((column, self.data[start:stop]))
            start = stop

    def put(self, rows: slice, values: Sequence[NDArray[Any]]) -> None:
        """Write a block: for each column an array of words below 2^width, (rows,) or (rows, words)."""
        for (column, data), array in zip(self._columns, values, strict=True):
            target = data[_bytes(rows, column.width)]
            if column.whole:
                target[:] = array.reshape(-1).view(np.uint8)
            elif column.width == 1:
                target[:] = np.packbits(array, bitorder="little")
            else:
                target[:] = pack(array, column.width)

    def get(self, rows: slice) -> list[NDArray[Any]]:
        """Read a block: for each column an array (rows,), or (rows, words). Read-only, or a copy."""
        return [self._read(column, data, rows) for column, data in self._columns]

    def _read(self, column: Column, data: NDArray[np.uint8], rows: slice) -> NDArray[Any]:
        source, count = data[_bytes(rows, column.width)], rows.stop - rows.start
        if column.whole:
            return source.view(column.dtype).reshape((count, column.words) if column.words > 1 else count)
        if column.width == 1:
            return np.unpackbits(source, count=count, bitorder="little")
        return unpack(source, count, column.width).astype(column.dtype)


def message_size(count: int, columns: Sequence[Column]) -> int:
    """Bytes of a message of `count` elements."""
    return sum(packed_size(count, column.width) for column in columns)


def _bytes(rows: slice, width: int) -> slice:
    return slice(rows.start * width // 8, (rows.stop * width + 7) // 8)
