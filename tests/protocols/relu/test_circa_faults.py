"""How often the circa family's sign tests fault, and on which side; simulated and through the protocol."""

import itertools

import numpy as np
import pytest
from relus import run

from circa.protocols.relu import Activation, by_name
from circa.protocols.shares import PRIME31, RING32
from circa.protocols.sign.stochastic import fault_probability

PLAIN, CIRCA = by_name("circa-stochastic"), by_name("circa")
MODULI = [PRIME31, RING32]
SIDES = [("poszero", 1), ("negpass", -1)]


def fault_rate(act, x, y):
    """y (1, points, trials) is 0 or x for each x; the share of trials in which it is the wrong one."""
    y = act.modulus.decode(y)[0]
    assert ((y == 0) | (y == x[:, None])).all()
    return ((y != 0) != (x > 0)[:, None]).mean(axis=1)


def same_x(modulus, x, trials, k, mode):
    """A layer of one channel a point x, with uniform shares."""
    act = Activation(modulus, x.size, trials, 0, None, k, mode)
    z = modulus.encode(np.broadcast_to(x[:, None], (1, x.size, trials)).copy())
    z_c = np.random.default_rng(k).integers(0, modulus.value, z.shape, dtype=np.uint32)
    return act, modulus.sub(z, z_c), z_c


def near_zero(k):
    x = np.unique(np.linspace(-(1.3 * 2**k), 1.3 * 2**k, 25).astype(np.int64))
    return x[x != 0]


@pytest.mark.parametrize(("modulus", "k", "side"), [*itertools.product(MODULI, [12, 17], SIDES)])
def test_truncated_fault_rate_by_simulation(modulus, k, side):
    """1 - |x| / 2^k on the side of the mode, within six deviations; only the wrap's |x| / M on the other."""
    (mode, sign), trials, x = side, 20_000, near_zero(k)
    act, z_s, z_c = same_x(modulus, x, trials, k, mode)
    found = fault_rate(act, x, CIRCA.simulate(act, z_s, z_c))
    law = fault_probability(x, modulus, k, mode)
    assert (np.abs(found - law) <= 6 * np.sqrt(law * (1 - law) / trials) + 1e-12).all()
    inside = (sign * x > 0) & (np.abs(x) < 1 << k)
    np.testing.assert_allclose(found[inside], 1 - np.abs(x[inside]) / 2**k, atol=6 / np.sqrt(4 * trials))
    assert found[~inside].max() < 6 * (1 << k + 1) / modulus.value + 5 / trials


@pytest.mark.parametrize("protocol", [PLAIN, CIRCA])
@pytest.mark.parametrize(("modulus", "side"), [*itertools.product(MODULI, SIDES)])
def test_wrap_fault_rate_by_simulation(protocol, modulus, side):
    """|x| / M on both sides, for x up to M / 2: what no window has."""
    trials, half = 20_000, modulus.value // 2 - 1
    x = np.linspace(-half, half, 20).astype(np.int64)
    act, z_s, z_c = same_x(modulus, x, trials, 12, side[0])
    law = np.abs(x) / modulus.value
    found = fault_rate(act, x, protocol.simulate(act, z_s, z_c))
    assert (np.abs(found - law) <= 6 * np.sqrt(law * (1 - law) / trials)).all()
    assert found.max() > 0.4


@pytest.mark.parametrize(("modulus", "side"), [*itertools.product(MODULI, SIDES)])
def test_fault_rate_through_the_protocol(modulus, side):
    (mode, sign), trials, k = side, 250, 12
    x = np.concatenate([near_zero(k), np.array([-1, 1]) * (modulus.value // 3)])
    act, z_s, z_c = same_x(modulus, x, trials, k, mode)
    found = fault_rate(act, x, run(CIRCA, act, z_s, z_c).y(modulus))
    law = fault_probability(x, modulus, k, mode)
    assert (np.abs(found - law) <= 6 * np.sqrt(law * (1 - law) / trials) + 1e-12).all()
    inside = (sign * x > 0) & (np.abs(x) < 1 << k)
    assert found[inside].max() > 0.8
    assert not found[~inside & (np.abs(x) < 2 << k)].any()


@pytest.mark.parametrize("modulus", MODULI)
def test_plain_stochastic_through_the_protocol(modulus):
    trials = 250
    x = np.array([-(modulus.value // 3), -5, -1, 1, 5, modulus.value // 3])
    act, z_s, z_c = same_x(modulus, x, trials, 12, "negpass")  # neither of which it reads
    found = fault_rate(act, x, run(PLAIN, act, z_s, z_c).y(modulus))
    law = np.abs(x) / modulus.value
    assert (np.abs(found - law) <= 6 * np.sqrt(law * (1 - law) / trials)).all()
    assert not found[1:-1].any()
