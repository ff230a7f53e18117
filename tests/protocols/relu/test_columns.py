"""Messages of packed columns, block by block."""

import numpy as np
import pytest

from circa.protocols.packing import pack
from circa.protocols.relu import columns
from circa.protocols.relu.columns import Column, Columns, blocks, message_size

KINDS = [
    Column(64, np.dtype(np.uint64)),
    Column(256, np.dtype(np.uint64)),
    Column(4, np.dtype(np.uint8)),
    Column(1, np.dtype(np.uint8)),
    Column(8, np.dtype(np.uint8)),
    Column(10, np.dtype(np.uint16)),
    Column(16, np.dtype(np.uint16)),
    Column(24, np.dtype(np.uint32)),
    Column(31, np.dtype(np.uint32)),
    Column(32, np.dtype(np.uint32)),
]


def values(column, count):
    rng = np.random.default_rng(column.width)
    top = 1 << min(column.width, 8 * column.dtype.itemsize)
    shape = (count, column.words) if column.words > 1 else count
    return rng.integers(0, top, shape, dtype=column.dtype)


@pytest.mark.parametrize("count", [1, 7, 8, 16, 17, 40, 41])
def test_round_trip_in_blocks(count, monkeypatch):
    """The message is the concatenation of the packed columns, however small the blocks."""
    monkeypatch.setattr(columns, "BLOCK", 16)
    whole = [values(column, count) for column in KINDS]
    message = Columns(count, KINDS)
    for rows in blocks(count):
        message.put(rows, [array[rows] for array in whole])
    expected = [
        array.tobytes() if column.whole else pack(array, column.width).tobytes()
        for column, array in zip(KINDS, whole, strict=True)
    ]
    assert message.data.tobytes() == b"".join(expected)
    assert message.data.size == message.size == message_size(count, KINDS)
    received = Columns(count, KINDS, message.data.tobytes())
    for rows in blocks(count):
        for column, array, found in zip(KINDS, whole, received.get(rows), strict=True):
            assert found.dtype == column.dtype
            np.testing.assert_array_equal(found, array[rows])


def test_blocks_cover_all_rows():
    for count in (0, 1, columns.BLOCK, columns.BLOCK + 1, 3 * columns.BLOCK):
        parts = list(blocks(count))
        assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
        assert sum(part.stop - part.start for part in parts) == count
        assert all(part.start % 8 == 0 for part in parts)
