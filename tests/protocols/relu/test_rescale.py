"""The linear rescale as a protocol."""

import numpy as np
import pytest
from otpairs import ot_setups
from relus import dealt_cots, offline, run, split_shares
from wire import check_baseline

from circa.protocols.errors import CheckFailed, FramingError, ParameterError
from circa.protocols.relu import Activation, by_name
from circa.protocols.relu.material import nbytes
from circa.protocols.shares import PRIME31, RING32
from harness import run_pair

MODULI = [RING32, PRIME31]
RESCALE = by_name("rescale")


def layer(modulus, shift, positions=67):
    return Activation(modulus, 3, positions, shift, knots=(), coefs=())


def values(act, batch, seed=0):
    bound = act.modulus.value // 4 - (1 << 24)
    return np.random.default_rng(seed).integers(-bound, bound, act.shape(batch))


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("shift", [1, 7, 8, 11, 16, 24])
def test_rescales(modulus, shift):
    act = layer(modulus, shift)
    z = values(act, 2)
    z_s, z_c = split_shares(modulus, z)
    y = run(RESCALE, act, z_s, z_c).y(modulus)
    np.testing.assert_array_equal(y, RESCALE.simulate(act, z_s, z_c))
    assert np.abs(modulus.decode(y) - (z >> shift)).max() <= 1


def test_over_softspoken():
    act = layer(RING32, 8)
    z_s, z_c = split_shares(RING32, values(act, 1))
    y = run(RESCALE, act, z_s, z_c, ot_setups("softspoken")).y(RING32)
    np.testing.assert_array_equal(y, RESCALE.simulate(act, z_s, z_c))


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("shift", [8, 13])
def test_cost(modulus, shift):
    act = layer(modulus, shift)
    z_s, z_c = split_shares(modulus, values(act, 3))
    result, cost = run(RESCALE, act, z_s, z_c, dealt_cots()), RESCALE.cost(act, 3)
    assert result.offline.left.bytes_sent == cost.offline.down
    assert result.offline.right.bytes_sent == cost.offline.up
    assert result.offline.rounds == cost.offline.rounds
    assert result.online.left.bytes_sent == cost.online.down
    assert result.online.right.bytes_sent == cost.online.up
    assert result.online.rounds == cost.online.rounds == 1
    assert nbytes(result.sender) == cost.sender_stored
    assert nbytes(result.receiver) == cost.receiver_stored


def test_wire():
    act = layer(RING32, 8)
    z_s, z_c = split_shares(RING32, values(act, 1))
    result = run(RESCALE, act, z_s, z_c)
    check_baseline("relu-rescale-f8-offline", result.offline)
    check_baseline("relu-rescale-f8-online", result.online)


@pytest.mark.parametrize("size", [-1, 1])
def test_lengths_are_checked(size):
    act = layer(RING32, 8)
    z_s, z_c = split_shares(RING32, values(act, 1))
    _, sender, receiver, _ = offline(RESCALE, act, z_c)
    with pytest.raises(FramingError):
        run_pair(lambda ch: ch.send(bytes(201 + size)), lambda ch: RESCALE.online_receiver(ch, act, receiver))
    with pytest.raises(FramingError):
        run_pair(
            lambda ch: RESCALE.online_sender(ch, act, z_s, sender), lambda ch: ch.send(bytes(804 + size))
        )


def test_residues_are_checked():
    act = layer(PRIME31, 8)
    z_s, z_c = split_shares(PRIME31, values(act, 1))
    _, sender, receiver, _ = offline(RESCALE, act, z_c)
    high = b"\xff" * RESCALE.cost(act, 1).online.down
    with pytest.raises(CheckFailed):
        run_pair(lambda ch: ch.send(high), lambda ch: RESCALE.online_receiver(ch, act, receiver))
    with pytest.raises(CheckFailed):
        run_pair(lambda ch: RESCALE.online_sender(ch, act, z_s, sender), lambda ch: ch.send(high))


def test_refuses():
    with pytest.raises(ParameterError, match="at least one bit"):
        RESCALE.cost(layer(RING32, 0), 1)
    with pytest.raises(ParameterError, match="1 knots"):
        RESCALE.cost(Activation(RING32, 1, 1, 8), 1)
