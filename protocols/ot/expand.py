"""The rows of IKNP: 128 AES-CTR streams that are read side by side.

Row i is the key stream of AES-128-CTR under key i, from a zero counter, as in `prg.py`; a read gives the
next blocks of every row. The NumPy version keeps one cipher object a row.
"""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

__all__ = ["BLOCK_BYTES", "Rows"]

BLOCK_BYTES = 16


class Rows:
    """Streams under `keys`, uint8 (rows, 16), all at the same position."""

    def __init__(self, keys: NDArray[np.uint8]):
        self._streams = [
            Cipher(algorithms.AES128(key.tobytes()), modes.CTR(bytes(16))).encryptor() for key in keys
        ]

    def next(self, blocks: int) -> NDArray[np.uint8]:
        """The next `blocks` blocks of each row: uint8 (rows, 16 * blocks)."""
        width = BLOCK_BYTES * blocks
        zeros = bytes(width)
        flat = np.empty(
            len(self._streams) * width + BLOCK_BYTES, np.uint8
        )  # update_into asks for a block of slack
        view = flat.data
        for i, stream in enumerate(self._streams):
            stream.update_into(zeros, view[i * width :])
        return flat[:-BLOCK_BYTES].reshape(len(self._streams), width)
