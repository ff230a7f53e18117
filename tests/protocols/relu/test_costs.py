"""Every protocol's formula against the wire for every k of the OT extension, offline."""

import numpy as np
import pytest
from relus import dealt_cots, offline

from circa.protocols import relu
from circa.protocols.relu import Activation
from circa.protocols.shares import PRIME31, RING32
from circa.protocols.sign.window import Window


def layer(name: str) -> Activation:
    return Activation(
        RING32 if name in ("table", "window-garbled", "rescale") else PRIME31,
        channels=1,
        positions=13,
        shift=5,
        window=Window(4) if name in ("table", "window-garbled") else None,
        truncate_bits=12 if name == "circa" else 0,
        knots=() if name == "rescale" else (0,),
        coefs=() if name == "rescale" else (1,),
    )


@pytest.mark.parametrize("k", range(1, 9))
@pytest.mark.parametrize("name", relu.NAMES)
def test_offline_bytes_depend_on_k_as_the_formula_says(name, k):
    protocol, act = relu.by_name(name), layer(name)
    said = offline(protocol, act, np.zeros(act.shape(1), np.uint32), dealt_cots(k))[3]
    cost = protocol.cost(act, 1, k)
    assert (said.left.bytes_sent, said.right.bytes_sent) == (cost.offline.down, cost.offline.up)
    assert said.rounds == cost.offline.rounds
    assert cost.online == protocol.cost(act, 1).online
