"""The description of a layer, and the protocols by name."""

import numpy as np
import pytest

from circa.protocols.errors import ParameterError
from circa.protocols.relu import NAMES, Activation, by_name
from circa.protocols.shares import RING32
from circa.protocols.sign.window import Window


def test_names():
    for name in NAMES:
        assert by_name(name).name == name
    with pytest.raises(ParameterError, match="table"):
        by_name("tabel")


def test_shape():
    act = Activation(RING32, 3, 5, window=Window(6, (1, 2, 3)))
    assert act.elements == 15
    assert act.shape(2) == (2, 3, 5)
    assert act.batch_of(np.zeros((2, 3, 5), np.uint32)) == 2


@pytest.mark.parametrize(
    "share", [np.zeros((2, 3, 5), np.int64), np.zeros((2, 15), np.uint32), np.zeros((2, 5, 3), np.uint32)]
)
def test_refuses_a_share_of_another_layer(share):
    with pytest.raises(ParameterError, match=r"\(batch, 3, 5\)"):
        Activation(RING32, 3, 5).batch_of(share)


@pytest.mark.parametrize(
    "fields",
    [
        {"channels": 0},
        {"positions": 0},
        {"shift": -1},
        {"shift": 25},
        {"knots": (0, 1)},
        {"coefs": (2,)},
        {"coefs": (0,)},
        {"knots": (1 << 30,)},
        {"window": Window(6, (1, 2))},
        {"window": Window(6, positive=((3,), (4,)))},
    ],
)
def test_refuses(fields):
    with pytest.raises(ParameterError):
        Activation(**({"modulus": RING32, "channels": 3, "positions": 5} | fields))
