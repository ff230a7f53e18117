"""The rows of IKNP against the library's PRG, which is AES-CTR checked elsewhere."""

import numpy as np
import pytest

from circa.protocols.ot.expand import Rows
from circa.protocols.prg import Prg

KEYS = np.arange(128 * 16, dtype=np.uint32).astype(np.uint8).reshape(128, 16)


@pytest.mark.parametrize("reads", [[1], [512], [3, 1, 700], [0, 2]])
def test_rows_are_ctr_streams_that_go_on(reads):
    rows = Rows(KEYS)
    got = np.concatenate([rows.next(blocks) for blocks in reads], axis=1)
    expected = np.stack([Prg(key.tobytes()).bytes(16 * sum(reads)) for key in KEYS])
    assert got.shape == (128, 16 * sum(reads))
    assert (got == expected).all()
