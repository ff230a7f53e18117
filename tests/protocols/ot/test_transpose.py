"""The bit-matrix transpose against its definition, bit by bit."""

import numpy as np
import pytest

from circa.protocols.ot.transpose import columns


@pytest.mark.parametrize("words", [1, 2, 3, 255, 256, 257, 512, 1000])
def test_columns(words):
    rows = np.random.default_rng(words).integers(0, 256, (128, 8 * words), np.uint8)
    kept = rows.copy()
    bits = np.unpackbits(rows, axis=1, bitorder="little")
    expected = np.packbits(np.ascontiguousarray(bits.T), axis=1, bitorder="little").view(np.uint64)
    got = columns(rows)
    assert got.shape == (64 * words, 2)
    assert (got == expected).all()
    assert (rows == kept).all()


def test_one_bit():
    for row, column in [(0, 0), (0, 63), (63, 0), (64, 0), (127, 127), (5, 70)]:
        rows = np.zeros((128, 16), np.uint8)
        rows[row, column // 8] = 1 << column % 8
        got = columns(rows)
        assert int(got[column, row // 64]) == 1 << row % 64
        assert np.count_nonzero(got) == 1
