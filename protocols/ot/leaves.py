"""The local work of SoftSpoken OT: AES-CTR streams under the leaves of all trees, folded into matrix rows.

For a tree of depth d with streams G_x, x < 2^d, at some columns:

    fold    U = XOR of all G_x,    V_b = XOR of the G_x with bit b of x set,  b < d

About two XORs a leaf: V_0 is the sum of the odd leaves, and the pairs' sums are the leaves of a tree of
depth d − 1. The two steps of softspoken.py are a fold of every tree, what each party adds to it, and the
transposition of the 128 rows; the native kernels do all three on a few columns at a time. The functions in
`_numpy` are the definition.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..packing import unpack_bits
from .cots import KAPPA, Blocks
from .expand import BLOCK_BYTES, Rows
from .transpose import columns_numpy

__all__ = [
    "Leaves",
    "Matrix",
    "depths",
    "fold",
    "receiver_step",
    "receiver_step_numpy",
    "sender_step",
    "sender_step_numpy",
]

Matrix = NDArray[np.uint8]  # (trees, width): rows of bits, low bit first
Packed = NDArray[np.uint8]  # (width,)

_SCHEDULE_BYTES = 176


def depths(k: int) -> list[int]:
    """The depth of each tree: k, and for the last one what is left of 128."""
    return [min(k, KAPPA - row) for row in range(0, KAPPA, k)]


class Leaves:
    """The leaf seeds of all trees, uint8 (16,) each, tree after tree, and the next unread counter block."""

    def __init__(self, seeds: NDArray[np.uint8], k: int):
        self.k, self.position, self._seeds = k, 0, np.ascontiguousarray(seeds)
        ends = np.cumsum([1 << depth for depth in depths(k)])[:-1]
        self._trees = [Rows(seeds) for seeds in np.split(self._seeds, ends)]
        self._schedules: NDArray[np.uint8] | None = None

    @property
    def schedules(self) -> NDArray[np.uint8]:
        """For the native kernels: the AES round keys of every leaf, uint8 (leaves, 176); made once."""
        if self._schedules is None:
            fast = kernels.native()
            assert fast is not None
            self._schedules = np.empty((len(self._seeds), _SCHEDULE_BYTES), np.uint8)
            fast.schedules(self._seeds, self._schedules)
        return self._schedules

    def folds(self, blocks: int) -> Iterator[tuple[slice, Packed, Matrix]]:
        """For every tree: its rows of the 128, U and V at the next `blocks` blocks of columns, in NumPy."""
        start = 0
        for depth, tree in zip(depths(self.k), self._trees, strict=True):
            yield slice(start, start + depth), *fold(tree.read(self.position, blocks))
            start += depth

    def skip(self, blocks: int) -> None:
        """Count the blocks that a step has read: no column is read twice."""
        self.position += blocks


def fold(streams: Matrix) -> tuple[Packed, Matrix]:
    """U, (width,), and V, (d, width), of the 2^d rows of one tree."""
    rows = []
    while len(streams) > 1:
        odd = streams[1::2]
        rows.append(np.bitwise_xor.reduce(odd, axis=0))
        streams = streams[::2] ^ odd
    return streams[0], np.stack(rows)


def sender_step(leaves: Leaves, delta: Blocks, d: Matrix, K: Blocks) -> None:
    """Step (2) for one message d: writes K, (n, 2). The leaves are numbered y = x ⊕ Δ_i, leaf 0 unknown."""
    fast = kernels.native()
    if fast is None:
        sender_step_numpy(leaves, delta, d, K)
    else:
        fast.softspoken_send(leaves.schedules, leaves.k, leaves.position, delta, d, K)
        leaves.skip(_blocks(d))


def sender_step_numpy(leaves: Leaves, delta: Blocks, d: Matrix, K: Blocks) -> None:
    """`sender_step` in NumPy: the definition."""
    blocks, width = _blocks(d), d.shape[1]
    q = np.empty((KAPPA, BLOCK_BYTES * blocks), np.uint8)
    masks = (np.uint8(0) - unpack_bits(delta.view(np.uint8), KAPPA))[:, None]
    for i, (rows, _, V) in enumerate(leaves.folds(blocks)):
        q[rows] = V
        q[rows, :width] ^= d[i] & masks[rows]
    leaves.skip(blocks)
    K[:] = columns_numpy(q)[: len(K)]


def receiver_step(leaves: Leaves, r: Packed, d: Matrix, M: Blocks) -> None:
    """Step (1) for one message: writes d, to be sent, and M, (n, 2), for the packed choices r."""
    fast = kernels.native()
    if fast is None:
        receiver_step_numpy(leaves, r, d, M)
    else:
        fast.softspoken_recv(leaves.schedules, leaves.k, leaves.position, r, d, M)
        leaves.skip(_blocks(d))


def receiver_step_numpy(leaves: Leaves, r: Packed, d: Matrix, M: Blocks) -> None:
    """`receiver_step` in NumPy: the definition."""
    blocks, width = _blocks(d), d.shape[1]
    v = np.empty((KAPPA, BLOCK_BYTES * blocks), np.uint8)
    for i, (rows, U, V) in enumerate(leaves.folds(blocks)):
        v[rows] = V
        d[i] = U[:width] ^ r
    leaves.skip(blocks)
    M[:] = columns_numpy(v)[: len(M)]


def _blocks(d: Matrix) -> int:
    return -(-int(d.shape[1]) // BLOCK_BYTES)
