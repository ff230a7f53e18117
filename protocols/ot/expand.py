"""The rows of IKNP: 128 AES-CTR streams that are read side by side.

Row i is the key stream of AES-128-CTR under key i, from a zero counter, as in `prg.py`; a read gives the
next blocks of every row. `next_numpy` is the definition and keeps one cipher object a row; `next` runs the
native kernel where there is one.
"""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from .. import kernels

__all__ = ["BLOCK_BYTES", "Rows"]

BLOCK_BYTES = 16


class Rows:
    """Streams under `keys`, uint8 (rows, 16), all at the same `position`, counted in blocks."""

    def __init__(self, keys: NDArray[np.uint8]):
        self.keys, self.position = np.ascontiguousarray(keys), 0
        self._streams: list[CipherContext] = []
        self._streams_at = -1

    def next(self, blocks: int) -> NDArray[np.uint8]:
        """The next `blocks` blocks of each row: uint8 (rows, 16 * blocks)."""
        fast = kernels.native()
        if fast is None:
            return self.next_numpy(blocks)
        out = np.empty((len(self.keys), BLOCK_BYTES * blocks), np.uint8)
        fast.expand(self.keys, self.position, out)
        self.skip(blocks)
        return out

    def next_numpy(self, blocks: int) -> NDArray[np.uint8]:
        """`next` in NumPy: the definition."""
        if self._streams_at != self.position:
            counter = modes.CTR(self.position.to_bytes(BLOCK_BYTES, "big"))
            self._streams = [Cipher(algorithms.AES128(bytes(key)), counter).encryptor() for key in self.keys]
        rows, width = len(self.keys), BLOCK_BYTES * blocks
        zeros = bytes(width)
        flat = np.empty(rows * width + BLOCK_BYTES, np.uint8)  # update_into asks for a block of slack
        view = flat.data
        for i, stream in enumerate(self._streams):
            stream.update_into(zeros, view[i * width :])
        self.skip(blocks)
        self._streams_at = self.position
        return flat[:-BLOCK_BYTES].reshape(rows, width)

    def skip(self, blocks: int) -> None:
        """Count blocks that a native kernel has read by itself."""
        self.position += blocks
