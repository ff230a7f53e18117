"""The published sign tests: exact where they say so, and faults where and as often as the law says."""

import itertools

import numpy as np
import pytest

from circa.protocols.errors import ParameterError
from circa.protocols.shares import PRIME31, RING32
from circa.protocols.sign import stochastic
from circa.protocols.sign.stochastic import (
    MODES,
    exact_drelu,
    fault_probability,
    truncated_drelu,
)

MODULI = [PRIME31, RING32]
CASES = [*itertools.product(MODULI, MODES, [0, 1, 5, 12, 17, "most"])]


def most(modulus, k):
    return modulus.bits - 2 if k == "most" else k


def shares(modulus, x, trials, seed):
    """x_s uniform and x_c that goes with it, (points, trials)."""
    x_s = np.random.default_rng(seed).integers(0, modulus.value, (x.size, trials), dtype=np.uint32)
    return x_s, modulus.sub(np.broadcast_to(modulus.encode(x)[:, None], x_s.shape), x_s)


def points(modulus, k):
    """Around zero, around the end of the interval of truncation, and up to where values wrap."""
    step, half = 1 << k, modulus.value // 2 - 1
    near = np.linspace(-1.5 * step, 1.5 * step, 31).astype(np.int64)
    far = np.linspace(-half, half, 11).astype(np.int64)
    edges = np.array([-step - 1, -step, -step + 1, -1, 0, 1, step - 1, step, step + 1])
    x = np.unique(np.concatenate([near, far, edges]))
    return x[np.abs(x) <= half]


@pytest.mark.parametrize(("modulus", "mode", "k"), CASES)
def test_fault_rate_follows_the_law(modulus, mode, k):
    """Binomial interval of six deviations at every point; no fault where the law says never."""
    k, trials = most(modulus, k), 20_000
    x = points(modulus, k)
    x_s, x_c = shares(modulus, x, trials, k)
    faults = (truncated_drelu(modulus, k, mode, x_s, x_c) != (x >= 0)[:, None]).mean(axis=1)
    law = fault_probability(x, modulus, k, mode)
    assert (np.abs(faults - law) <= 6 * np.sqrt(law * (1 - law) / trials) + 1e-12).all()


@pytest.mark.parametrize(("modulus", "mode", "k"), CASES)
def test_law_is_that_of_the_paper_to_first_order(modulus, mode, k):
    k = most(modulus, k)
    x, step, M = points(modulus, k), 1 << k, modulus.value
    side = x >= 0 if mode == "poszero" else x < 0
    truncated = np.where(side & (np.abs(x) < step), 1 - np.abs(x) / step, 0.0)
    paper = np.abs(x) / M + truncated
    assert np.abs(fault_probability(x, modulus, k, mode) - paper).max() <= 3 * step / M


def test_law_counts_every_share():
    """The count behind the law, against enumeration."""
    for count, low, step in itertools.product([0, 1, 7, 8, 9, 100], [0, 1, 5, 8], [8]):
        found = stochastic._residues_below(np.array([count]), np.array([low]), step)
        assert found == sum(i % step < low for i in range(count))


@pytest.mark.parametrize(("modulus", "k"), [*itertools.product(MODULI, [0, 5, 12, 17])])
def test_truncation_faults_on_the_side_of_the_mode(modulus, k):
    """Beyond |x| / M, which no mode escapes: poszero on x >= 0 alone, negpass on x < 0 alone."""
    x = np.arange(-(2 << k), 2 << k, max(1, 1 << k >> 6))
    wrap = np.abs(x) / modulus.value
    for mode, side in (("poszero", x >= 0), ("negpass", x < 0)):
        extra = fault_probability(x, modulus, k, mode) - wrap
        assert np.abs(extra[~side]).max() < 1e-9
        assert (k == 0 and mode == "negpass") or extra[side].max() > 0.9


@pytest.mark.parametrize("modulus", MODULI)
def test_exact_sign_is_the_sign(modulus):
    half = modulus.value // 2
    x = np.concatenate([points(modulus, 20), [-half + (not modulus.is_ring), half - 1]])
    x_s, x_c = shares(modulus, x, 200, 3)
    found = exact_drelu(modulus, x_s, x_c)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.broadcast_to((x >= 0)[:, None], x_s.shape))


@pytest.mark.parametrize(("modulus", "k"), [(PRIME31, 30), (PRIME31, -1), (RING32, 31), (RING32, 40)])
def test_refuses_truncation_without_room(modulus, k):
    with pytest.raises(ParameterError, match=f"{k} truncated bits.*0 to {modulus.bits - 2}"):
        stochastic.check_truncation(modulus, k, "poszero")


def test_refuses_an_unknown_mode():
    with pytest.raises(ParameterError, match="'balanced'; modes of a truncated sign: poszero, negpass"):
        stochastic.check_truncation(RING32, 5, "balanced")
