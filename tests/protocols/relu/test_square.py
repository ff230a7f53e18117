"""The square as a protocol."""

import numpy as np
import pytest
from otpairs import ot_setups
from relus import check_refused, offline, run, split_shares
from wire import check_baseline

from circa.protocols.errors import CheckFailed
from circa.protocols.packing import pack, unpack
from circa.protocols.relu import Activation, square
from circa.protocols.relu.square import Square
from circa.protocols.shares import PRIME31, RING32, residue_bytes
from harness import run_pair

MODULI = [RING32, PRIME31]
SQUARE = Square()


def layer(modulus, **fields):
    return Activation(modulus, 3, 67, **({"knots": (), "coefs": ()} | fields))


def values(act, batch, bound=(1 << 15) - 1):
    return np.random.default_rng(0).integers(-bound, bound, act.shape(batch))


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("setup", ["ideal", "softspoken"])
def test_squares(modulus, setup, monkeypatch):
    monkeypatch.setattr(square, "PART", 150)  # several parts, the last one smaller
    act = layer(modulus)
    z = values(act, 2)
    z_s, z_c = split_shares(modulus, z)
    y = run(SQUARE, act, z_s, z_c, ot_setups(setup)).y(modulus)
    np.testing.assert_array_equal(modulus.decode(y), z * z)
    np.testing.assert_array_equal(y, SQUARE.simulate(act, z_s, z_c))


@pytest.mark.parametrize("modulus", MODULI)
def test_squares_wrap_like_integers_modulo_m(modulus):
    act = layer(modulus)
    z = values(act, 2, modulus.value // 2 - 1)
    z_s, z_c = split_shares(modulus, z)
    y = run(SQUARE, act, z_s, z_c).y(modulus)
    expected = [int(v) ** 2 % modulus.value for v in z.reshape(-1)]
    assert y.reshape(-1).tolist() == expected


@pytest.mark.parametrize("modulus", MODULI)
def test_cost_by_hand(modulus, monkeypatch):
    """A residue each way; offline a round trip a part."""
    monkeypatch.setattr(square, "PART", 150)
    act = layer(modulus)
    cost, count = SQUARE.cost(act, 3), 3 * act.elements
    assert cost.offline.rounds == -(-count // 150)
    assert cost.online.down == cost.online.up == residue_bytes(count, modulus)


@pytest.mark.parametrize("modulus", MODULI)
def test_messages_are_uniform(modulus):
    """The same z and receiver's share: both messages of both elements differ and look uniform."""
    act = Activation(modulus, 1, 4096, knots=(), coefs=())
    z_s, z_c = (np.full(act.shape(1), 5, np.uint32) for _ in range(2))
    online = run(SQUARE, act, z_s, z_c).online
    for message in (online.left_sent[0], online.right_sent[0]):
        residues = unpack(np.frombuffer(message, np.uint8), 4096, modulus.bits) / modulus.value
        assert np.unique(residues).size > 4090
        assert abs(residues.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 4096)
        assert abs(residues.var() - 1 / 12) < 0.01


@pytest.mark.parametrize("fields", [{"shift": 1}, {"knots": (0,), "coefs": (1,)}])
def test_knots_and_shifts_are_refused(fields):
    check_refused(SQUARE, layer(RING32, **fields), "no sign test and no shift")


def test_a_peer_that_sends_nonsense():
    act = layer(PRIME31)
    z_s, z_c = split_shares(PRIME31, values(act, 1))
    _, sender, receiver, _ = offline(SQUARE, act, z_c)
    too_large = pack(np.full(act.elements, PRIME31.value, np.uint32), 31).tobytes()
    with pytest.raises(CheckFailed, match="not below"):
        run_pair(lambda ch: ch.send(too_large), lambda ch: SQUARE.online_receiver(ch, act, receiver))
    with pytest.raises(CheckFailed, match="not below"):
        run_pair(lambda ch: SQUARE.online_sender(ch, act, z_s, sender), lambda ch: ch.send(too_large))


@pytest.mark.parametrize("modulus", MODULI)
def test_wire_baseline(modulus):
    act = layer(modulus)
    z_s, z_c = split_shares(modulus, values(act, 1))
    result = run(SQUARE, act, z_s, z_c)
    name = "ring" if modulus.is_ring else "prime"
    check_baseline(f"relu/square/{name}/offline", result.offline)
    check_baseline(f"relu/square/{name}/online", result.online)
