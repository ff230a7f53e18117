"""Punctured trees: one party knows every leaf, the other all but one of its choice. Semi-honest.

[GGM86] Goldreich, Goldwasser, Micali. How to Construct Random Functions. J. ACM 33(4), 1986.
[BCGI+19] Boyle, Couteau, Gilboa, Ishai, Kohl, Rindal, Scholl. Efficient Two-Round OT Extension and Silent
Non-Interactive Secure Computation. CCS 2019: punctured by one OT a level.

A node s has the children AES_s(0) and AES_s(1). A leaf x of a tree of depth d is reached by the bits of x,
the highest first; b_l is the bit of level l of the missing leaf, c = 1 − b_l.

            puncturer: b_1 ... b_d                  grower
 setup      k_l^c for l <= d                        (k_l^0, k_l^1) for l <= d             random OTs
            level 1 has the nodes k_1^0, k_1^1: a pair of random keys needs no correction
 (1)                            ←  m_l^0, m_l^1  ←  S_l^c = XOR of the nodes of level l that are a child c,
                                                    m_l^c = S_l^c ⊕ k_l^c,  for 2 <= l <= d
 output     every leaf but b: at each level the     every leaf
            node next to the path is S_l^c minus
            the other children c

32 (d − 1) bytes a tree. The puncturer has S_l^c for one side of each level only, and that side never
contains the path: the missing leaf stays pseudorandom to it. The grower receives nothing.
"""

import numpy as np
from numpy.typing import NDArray

from .expand import BLOCK_BYTES, expand

__all__ = ["grow", "puncture"]

Nodes = NDArray[np.uint8]  # (trees, 2^level, 16)


def grow(keys: NDArray[np.uint8]) -> tuple[Nodes, NDArray[np.uint8]]:
    """The grower: all leaves, uint8 (trees, 2^d, 16), and message (1), uint8 (trees, d - 1, 2, 16).

    keys: k_l^0 and k_l^1 for every level, uint8 (trees, d, 2, 16).
    """
    trees, depth = keys.shape[:2]
    nodes = keys[:, 0]
    corrections = np.empty((trees, depth - 1, 2, BLOCK_BYTES), np.uint8)
    for level in range(1, depth):
        nodes = _children(nodes)
        corrections[:, level - 1] = _sums(nodes) ^ keys[:, level]  # (1)
    return nodes, corrections


def puncture(keys: NDArray[np.uint8], path: NDArray[np.uint8], corrections: NDArray[np.uint8]) -> Nodes:
    """The puncturer: all leaves, and zeros for the missing one, uint8 (trees, 2^d, 16).

    keys: k_l^c, uint8 (trees, d, 16); path: b_l, uint8 (trees, d), 0 or 1; corrections: message (1).
    """
    trees, depth = path.shape
    every, at = np.arange(trees), path[:, 0].astype(np.intp)
    nodes = np.zeros((trees, 2, BLOCK_BYTES), np.uint8)
    nodes[every, 1 - at] = keys[:, 0]
    for level in range(1, depth):
        bit = path[:, level].astype(np.intp)
        nodes = _children(nodes)
        nodes[every, 2 * at] = nodes[every, 2 * at + 1] = 0  # children of the node that is missing
        total = corrections[every, level - 1, 1 - bit] ^ keys[:, level]  # (1)
        nodes[every, 2 * at + 1 - bit] = total ^ _sums(nodes)[every, 1 - bit]
        at = 2 * at + bit
    return nodes


def _children(nodes: Nodes) -> Nodes:
    trees, count = nodes.shape[:2]
    return expand(nodes.reshape(-1, BLOCK_BYTES), 0, 2).reshape(trees, 2 * count, BLOCK_BYTES)


def _sums(nodes: Nodes) -> NDArray[np.uint8]:
    """The XOR of the left and of the right children: (trees, 2, 16)."""
    trees, count = nodes.shape[:2]
    sums: NDArray[np.uint8] = np.bitwise_xor.reduce(nodes.reshape(trees, count // 2, 2, BLOCK_BYTES), axis=1)
    return sums
