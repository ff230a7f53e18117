"""Punctured trees: all leaves but one, for every place of it; what the puncturer cannot know."""

import itertools

import numpy as np
import pytest

from circa.protocols.ot.pprf import grow, puncture
from circa.protocols.prg import Prg

DEPTHS = pytest.mark.parametrize("depth", range(1, 9))


def keys(trees: int, depth: int) -> np.ndarray:
    return Prg(b"keys of a tree..").bytes(trees * depth * 32).reshape(trees, depth, 2, 16)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_every_leaf_can_be_missing(depth):
    """All paths at once, one tree each, the same keys for all."""
    paths = np.array(list(itertools.product((0, 1), repeat=depth)), np.uint8)
    pairs = np.repeat(keys(1, depth), len(paths), axis=0)
    leaves, corrections = grow(pairs)
    chosen = pairs[np.arange(len(paths))[:, None], np.arange(depth)[None], 1 - paths]
    found = puncture(chosen, paths, corrections)
    for missing, (tree, ours) in enumerate(zip(leaves, found, strict=True)):
        assert not ours[missing].any()
        rest = np.arange(1 << depth) != missing
        assert (ours[rest] == tree[rest]).all()


@DEPTHS
def test_many_trees(depth):
    pairs, paths = keys(9, depth), Prg(b"paths of trees..").bits((9, depth))
    leaves, corrections = grow(pairs)
    assert leaves.shape == (9, 1 << depth, 16)
    assert corrections.nbytes == 9 * 32 * (depth - 1)
    assert len({leaf.tobytes() for leaf in leaves.reshape(-1, 16)}) == 9 << depth
    chosen = pairs[np.arange(9)[:, None], np.arange(depth)[None], 1 - paths]
    found = puncture(chosen, paths, corrections)
    differs = (found != leaves).any(axis=2)
    assert (differs.sum(axis=1) == 1).all()
    assert (differs.argmax(axis=1) == paths @ (1 << np.arange(depth)[::-1])).all()


def test_against_the_definition_node_by_node():
    """Depth 3 with the library's AES-CTR: children are the first two blocks under a node."""
    pairs = keys(1, 3)
    nodes = [pairs[0, 0, 0].tobytes(), pairs[0, 0, 1].tobytes()]
    sums = []
    for _ in range(2):
        nodes = [Prg(node).bytes(32).tobytes()[at : at + 16] for node in nodes for at in (0, 16)]
        blocks = np.array([np.frombuffer(node, np.uint8) for node in nodes])
        sums.append([np.bitwise_xor.reduce(blocks[c::2]) for c in (0, 1)])
    leaves, corrections = grow(pairs)
    assert [leaf.tobytes() for leaf in leaves[0]] == nodes
    assert (corrections[0] == np.array(sums) ^ pairs[0, 1:]).all()


def test_corrections_alone_show_nothing():
    """Every correction is masked by a key of its own: as bytes they differ from all sums and keys."""
    pairs = keys(4, 5)
    leaves, corrections = grow(pairs)
    known = {block.tobytes() for block in (*leaves.reshape(-1, 16), *pairs.reshape(-1, 16))}
    sums = {np.bitwise_xor.reduce(leaves[i, c::2]).tobytes() for i in range(4) for c in (0, 1)}
    assert not {m.tobytes() for m in corrections.reshape(-1, 16)} & (known | sums)
