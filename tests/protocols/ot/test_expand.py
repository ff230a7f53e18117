"""Streams under many keys against the library's PRG, which is AES-CTR checked elsewhere."""

import numpy as np
import pytest

from circa.protocols.ot.expand import Rows, expand
from circa.protocols.prg import Prg

KEYS = np.arange(128 * 16, dtype=np.uint32).astype(np.uint8).reshape(128, 16)


def stream(blocks: int) -> np.ndarray:
    return np.stack([Prg(key.tobytes()).bytes(16 * blocks) for key in KEYS])


@pytest.mark.parametrize("reads", [[1], [512], [3, 1, 700], [0, 2]])
def test_rows_are_ctr_streams_that_go_on(reads):
    rows, position, got = Rows(KEYS), 0, []
    for blocks in reads:
        got.append(rows.read(position, blocks))
        position += blocks
    assert (np.concatenate(got, axis=1) == stream(position)).all()


@pytest.mark.parametrize("first", [0, 1, 7])
def test_any_place_of_the_streams(first):
    rows = Rows(KEYS)
    rows.read(0, 3)
    for got in (expand(KEYS, first, 5), rows.read(first, 5)):
        assert got.shape == (128, 80)
        assert (got == stream(first + 5)[:, 16 * first :]).all()
