"""The linear rescale as a protocol."""

import numpy as np
import pytest
from relus import check_refused, corners, offline, run, split_shares
from wire import check_baseline

from circa.protocols.errors import CheckFailed
from circa.protocols.ot.softspoken import extension_bytes
from circa.protocols.packing import unpack
from circa.protocols.relu import Activation, by_name
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


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("shift", [8, 13])
def test_cost_by_hand(modulus, shift):
    act = layer(modulus, shift)
    cost, size = RESCALE.cost(act, 3), 3 * act.elements
    bits, extra = (shift, 4 * size) if modulus.is_ring else (31, 0)
    assert cost.online.down == -(-size // 8)
    assert cost.online.up == -(-bits * size // 8)
    assert cost.offline.up == extension_bytes(size) + extra


@pytest.mark.parametrize("shift", [3, 8, 11])
@pytest.mark.parametrize("secret", [0, -1, 12345678])
def test_what_the_sender_sees_is_uniform(shift, secret):
    """c mod 2^32, and beside it P + (1-2 m) p_s = n_c n_s Q + r: together uniform for any share of the
    receiver.
    """
    act = layer(RING32, shift, positions=1 << 14)
    z_s = np.random.default_rng(0).integers(0, 1 << 32, act.shape(1), dtype=np.uint32)
    z_c = np.full_like(z_s, secret % (1 << 32))
    result = run(RESCALE, act, z_s, z_c)
    c = np.frombuffer(result.offline.right_sent[-1], np.uint32)
    m = unpack(np.frombuffer(result.online.left_sent[0], np.uint8), c.size, 1).astype(np.int64)
    p_s = (1 - 2 * m) * result.sender.p.reshape(-1)
    P = unpack(np.frombuffer(result.online.right_sent[0], np.uint8), c.size, shift)
    r = (P.astype(np.int64) + p_s) % (1 << shift)
    counts = np.bincount((c >> np.uint32(29)) * 8 + (r >> (shift - 3)).astype(np.uint32), minlength=64)
    expected = c.size / 64
    assert ((counts - expected) ** 2 / expected).sum() < 141  # chi-square of 63 degrees, p = 1e-7


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("secret", [0, -1, 12345678])
def test_what_the_receiver_sees_is_uniform(modulus, secret):
    """m, beside p_c, is a fair coin for any share of the sender."""
    act = layer(modulus, 8, positions=1 << 14)
    z_c = np.random.default_rng(0).integers(0, modulus.value, act.shape(1), dtype=np.uint32)
    z_s = np.full_like(z_c, secret % modulus.value)
    result = run(RESCALE, act, z_s, z_c)
    m = unpack(np.frombuffer(result.online.left_sent[0], np.uint8), z_c.size, 1)
    assert abs(m.mean() - 0.5) < 5.3 * 0.5 / np.sqrt(m.size)  # p = 1e-7


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("shift", [1, 8, 24])
def test_exact_for_every_pair_of_extreme_shares(modulus, shift):
    """y_s + y_c is the stated sum of shares, A_c + A_s + Q n_c n_s, also where the bound on z is broken."""
    at = corners(modulus)
    act = Activation(modulus, 1, at.size**2, shift, knots=(), coefs=())
    z_s, z_c = (part.reshape(act.shape(1)) for part in np.meshgrid(at, at))
    z_s, z_c = np.ascontiguousarray(z_s), np.ascontiguousarray(z_c)
    o, q, half = modulus.value // 4 >> shift << shift, modulus.value >> shift, (modulus.value + 1) // 2
    moved = (z_c.astype(np.int64) + o) % modulus.value
    want = (
        (z_s >> np.uint32(shift)) + (moved >> shift) - (o >> shift) - q + q * ((moved < half) & (z_s < half))
    )
    np.testing.assert_array_equal(run(RESCALE, act, z_s, z_c).y(modulus), want % modulus.value)


def test_wire():
    act = layer(RING32, 8)
    z_s, z_c = split_shares(RING32, values(act, 1))
    result = run(RESCALE, act, z_s, z_c)
    check_baseline("relu-rescale-f8-offline", result.offline)
    check_baseline("relu-rescale-f8-online", result.online)


def test_residues_are_checked():
    act = layer(PRIME31, 8)
    z_s, z_c = split_shares(PRIME31, values(act, 1))
    _, sender, _, _ = offline(RESCALE, act, z_c)
    high = b"\xff" * RESCALE.cost(act, 1).online.up
    with pytest.raises(CheckFailed):
        run_pair(lambda ch: RESCALE.online_sender(ch, act, z_s, sender), lambda ch: ch.send(high))


def test_refuses():
    check_refused(RESCALE, layer(RING32, 0), "at least one bit")
    check_refused(RESCALE, Activation(RING32, 1, 1, 8), "1 knots")
