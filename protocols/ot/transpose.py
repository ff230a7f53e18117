"""Transposition of a 128-row bit matrix: its columns as blocks.

[Eklundh72] Eklundh. A Fast Computer Method for Matrix Transposing. IEEE Trans. Computers C-21, 1972.

Words of 64 columns are a 64 by 64 bit matrix for each half of the rows. For s = 1, 2, 4, ..., 32 every pair
of rows that differ in bit s of their number swaps its off-diagonal s-bit fields; then row i of a half holds
column i. A pass works on whole rows, so NumPy runs it at the speed of the cache; a slice of the matrix
stays there for all six.
"""

import numpy as np
from numpy.typing import NDArray

from .. import kernels

__all__ = ["columns", "columns_numpy"]

_SLICE = 256  # words of 64 columns: 128 rows of it and the scratch are 384 KiB
_FIELDS = tuple(
    (np.uint64(s), np.uint64(sum(((1 << s) - 1) << i for i in range(0, 64, 2 * s))))
    for s in (1, 2, 4, 8, 16, 32)
)


def columns(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Row i, bit j (low bit first) to bit i of block j: uint8 (128, 8 w) to uint64 (64 w, 2)."""
    fast = kernels.native()
    if fast is None:
        return columns_numpy(rows)
    out = np.empty((8 * rows.shape[1], 2), np.uint64)
    fast.columns(np.ascontiguousarray(rows), out)
    return out


def columns_numpy(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """`columns` in NumPy: the definition."""
    words = rows.view(np.uint64)
    width = words.shape[1]
    out = np.empty((64 * width, 2), np.uint64)
    for start in range(0, width, _SLICE):
        part = words[:, start : start + _SLICE].copy()
        size = part.shape[1]
        scratch = np.empty((64, size), np.uint64)
        for s, mask in _FIELDS:
            pairs = part.reshape(64 // int(s), 2, int(s), size)
            low, high, swap = pairs[:, 0], pairs[:, 1], scratch.reshape(64 // int(s), int(s), size)
            np.right_shift(low, s, out=swap)
            swap ^= high
            swap &= mask
            high ^= swap
            swap <<= s
            low ^= swap
        blocks = out[64 * start : 64 * (start + size)].reshape(size, 64, 2)
        blocks[:] = part.reshape(2, 64, size).transpose(2, 1, 0)
    return out
