"""AES-CTR streams under many keys, read side by side.

Row i is the key stream of AES-128-CTR under key i, as in `prg.py`. `expand` reads some blocks and forgets;
`Rows` keeps a cipher object for each key and so reads on cheaply: the NumPy versions of the steps of an OT
extension are made of it.
"""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from .. import kernels

__all__ = ["BLOCK_BYTES", "Rows", "expand", "expand_numpy"]

BLOCK_BYTES = 16


def expand(keys: NDArray[np.uint8], first: int, blocks: int) -> NDArray[np.uint8]:
    """Blocks first, first + 1, ... under each of `keys`, uint8 (rows, 16): uint8 (rows, 16 * blocks)."""
    fast = kernels.native()
    if fast is None:
        return expand_numpy(keys, first, blocks)
    out = np.empty((len(keys), BLOCK_BYTES * blocks), np.uint8)
    fast.expand(np.ascontiguousarray(keys), first, out)
    return out


def expand_numpy(keys: NDArray[np.uint8], first: int, blocks: int) -> NDArray[np.uint8]:
    """`expand` in NumPy: the definition."""
    return Rows(keys).read(first, blocks)


class Rows:
    """Streams under `keys`, uint8 (rows, 16)."""

    def __init__(self, keys: NDArray[np.uint8]):
        self._keys = keys
        self._streams: list[CipherContext] = []
        self._streams_at = -1

    def read(self, first: int, blocks: int) -> NDArray[np.uint8]:
        """As `expand_numpy`; fastest where the last read ended at `first`."""
        if self._streams_at != first:
            counter = modes.CTR(first.to_bytes(BLOCK_BYTES, "big"))
            self._streams = [Cipher(algorithms.AES128(bytes(key)), counter).encryptor() for key in self._keys]
        rows, width = len(self._keys), BLOCK_BYTES * blocks
        zeros = bytes(width)
        flat = np.empty(rows * width + BLOCK_BYTES, np.uint8)  # update_into asks for a block of slack
        view = flat.data
        for i, stream in enumerate(self._streams):
            stream.update_into(zeros, view[i * width :])
        self._streams_at = first + blocks
        return flat[:-BLOCK_BYTES].reshape(rows, width)
