"""The window sign test: its shares give the sign, and fault where and as often as the law says."""

import itertools

import numpy as np
import pytest

from circa.protocols.errors import ParameterError
from circa.protocols.sign.window import MODES, Window, drelu, fault_probability, positive_probability

BITS = [*range(2, 9), 11, 16]
CORNERS = np.array([0, 1, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, (1 << 32) - 1], np.uint32)


def sign_of(window, x, x_s):
    """DReLU~ for integers x and shares x_s of one shape."""
    x_c = x.astype(np.uint32) - x_s
    a = window.index_s(x_s.reshape(1, 1, -1))
    t = window.index_c(x_c.reshape(1, 1, -1))
    assert a.max() < 1 << window.bits
    assert t.max() < 1 << window.bits
    return drelu(a, t, window.bits, window.cells()).reshape(x.shape)


def with_cells(bits, gain, mode, share):
    """Few, half, or nearly all of the cells positive."""
    P = {"one": 1, "few": 1 + (1 << bits >> 3), "half": 1 << (bits - 1), "all but one": (1 << bits) - 1}[
        share
    ]
    return Window(bits, (gain,), mode, ((P,),))


SHARES = ["one", "few", "half", "all but one"]


@pytest.mark.parametrize(
    ("bits", "mode", "gain", "share"), [*itertools.product(BITS, MODES, [1, 2, 3, 1000, 12345], SHARES)]
)
def test_exact_outside_the_fault_interval(bits, mode, gain, share):
    window = with_cells(bits, gain, mode, share)
    rng = np.random.default_rng(bits)
    (below,), (above,) = window.reach()
    near = -(window.delta // gain) + np.arange(-3, 4)
    far = (window.width - window.delta) // gain + np.arange(-3, 4)
    x = np.concatenate([rng.integers(-below, above + 1, 2000), [-below, above], near, far])
    x = np.repeat(x[(x >= -below) & (x <= above)], 32)
    x_s = rng.integers(0, 1 << 32, x.size, dtype=np.uint32)
    x_s[: CORNERS.size] = CORNERS
    x_s[-CORNERS.size :] = CORNERS
    found = sign_of(window, x, x_s)
    s = gain * x + window.delta
    outside = (s < 0) | (s >= window.width)
    assert (outside | (bits < 4)).sum() > 1000
    np.testing.assert_array_equal(found[outside], x[outside] >= 0)


@pytest.mark.parametrize(("bits", "mode", "share"), [*itertools.product([4, 6, 8], MODES, SHARES)])
def test_the_reach_is_tight(bits, mode, share):
    """Half an interval further the sign is lost, and the next value already leaves the window."""
    gain = 3
    window = with_cells(bits, gain, mode, share)
    (below,), (above,) = window.reach()
    P = window.positive[0][0]
    assert gain * above + window.delta < P * window.width <= gain * (above + 1) + window.delta
    low = -((1 << bits) - P - 1) * window.width
    assert gain * -below + window.delta >= low > gain * (-below - 1) + window.delta
    step = window.width // (2 * gain)
    for x in (above + step, -below - step):
        x_s = np.random.default_rng(1).integers(0, 1 << 32, 500, dtype=np.uint32)
        assert (sign_of(window, np.full(500, x), x_s) != (x >= 0)).any()


def test_half_of_the_cells_is_bit_n_minus_1():
    a, t = np.arange(64, dtype=np.uint32)[:, None], np.arange(64, dtype=np.uint32)
    np.testing.assert_array_equal(drelu(a, t, 6, 32), (a + t) >> 5 & 1 ^ 1)
    assert Window(6).cells().tolist() == [[32]]
    assert (
        Window(6, (3, 4)).reach()[0].tolist() == Window(6, (3, 4), positive=((32, 32),)).reach()[0].tolist()
    )


@pytest.mark.parametrize(("bits", "mode", "odd"), [*itertools.product([2, 5, 8], MODES, [1, 3, 11])])
def test_law_by_enumeration(bits, mode, odd):
    """An even gain leaves few low parts of the share: all of them, and the law holds with equality."""
    steps = 16  # multiples of 2^e below W
    gain = odd << (32 - bits - 4)
    window = Window(bits, (gain,), mode)
    x = np.arange(-40, 41)
    x = x[np.abs(x) <= min(window.reach())]
    x_s = np.arange(steps, dtype=np.uint32) + np.uint32(0x9E3779B0)
    positive = sign_of(window, np.repeat(x, steps), np.tile(x_s, x.size)).reshape(x.size, steps)
    np.testing.assert_array_equal(positive.mean(axis=1), positive_probability(x, gain, bits, mode))


@pytest.mark.parametrize(
    ("bits", "mode", "gain"), [*itertools.product([2, 4, 6, 8], MODES, [1, 5, 12, (1 << 12) + 1])]
)
def test_fault_rate_follows_the_law(bits, mode, gain):
    """Binomial interval of six deviations at 41 points across the fault interval and beyond."""
    window = Window(bits, (gain,), mode)
    trials = 4000
    edge = window.width // gain
    x = np.unique(np.linspace(-1.2 * edge, 1.2 * edge, 41).astype(np.int64))
    x = x[np.abs(x) <= min(window.reach())]
    x_s = np.random.default_rng(bits).integers(0, 1 << 32, (x.size, trials), dtype=np.uint32)
    found = sign_of(window, np.repeat(x, trials).reshape(x.size, trials), x_s)
    faults = (found != (x >= 0)[:, None]).mean(axis=1)
    law = fault_probability(x, gain, bits, mode)
    assert law.max() > 0.2
    tolerance = 6 * np.sqrt(law * (1 - law) / trials)  # zero where the law says never or always
    assert (np.abs(faults - law) <= tolerance + 1e-12).all()


@pytest.mark.parametrize(("bits", "gain"), [*itertools.product([*range(2, 9), 12], [1, 7, 64])])
def test_faults_on_the_side_of_the_mode(bits, gain):
    x = np.arange(-(1 << 15), 1 << 15) * ((1 << 31) // gain >> 15)
    for mode, side in (("poszero", x < 0), ("negpass", x >= 0)):
        assert not fault_probability(x[side], gain, bits, mode).any()
        assert fault_probability(x[~side], gain, bits, mode).any()
    both = fault_probability(x, gain, bits, "balanced")
    assert both[x < 0].any()
    assert both[x >= 0].any()
    half = (1 << (31 - bits)) / gain
    assert not both[np.abs(x) > half].any()


@pytest.mark.parametrize(("bits", "mode"), [*itertools.product(BITS, MODES)])
def test_powers_of_two_are_the_windows_of_the_design(bits, mode):
    """Gain 2^(32-m): the same a, and the same t, as (m, k) of design.md 5.1."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.integers(0, 1 << 32, 5000, dtype=np.uint32), CORNERS])
    for m in range(bits, 33):
        k = m - bits
        delta = {"poszero": 0, "negpass": (1 << k) - 1, "balanced": 1 << k >> 1}[mode]
        top = np.uint64((1 << m) - 1)
        a = (x.astype(np.uint64) & top) >> np.uint64(k)
        t = ((x.astype(np.uint64) + np.uint64(delta)) & top) >> np.uint64(k)
        if 32 - m < 31:
            window = Window(bits, (1 << (32 - m),), mode)
            np.testing.assert_array_equal(window.index_s(x.reshape(1, 1, -1)).reshape(-1), a)
            np.testing.assert_array_equal(window.index_c(x.reshape(1, 1, -1)).reshape(-1), t)


def test_gain_per_channel():
    rng = np.random.default_rng(4)
    x = rng.integers(0, 1 << 32, (2, 3, 5), dtype=np.uint32)
    window = Window(5, (1, 6, 77), "negpass", ((4, 16, 30), (5, 17, 31)))
    for channel, gain in enumerate(window.gain):
        alone = Window(5, (gain,), "negpass", tuple((row[channel],) for row in window.positive))
        part = x[:, channel : channel + 1]
        np.testing.assert_array_equal(window.index_s(x)[:, channel : channel + 1], alone.index_s(part))
        np.testing.assert_array_equal(window.index_c(x)[:, channel : channel + 1], alone.index_c(part))
        for knot in (0, 1):
            assert window.cells(knot)[channel] == alone.cells(knot)
            for mine, its in zip(window.reach(knot), alone.reach(knot), strict=True):
                assert mine[channel] == its


def test_bounds_hold_at_every_knot():
    window, knots = Window(5, (1 << 8, 3 << 10), "negpass", ((4, 16), (9, 20))), (-70_000, 900_000)
    low, high = window.bounds(knots)
    for c, gain in enumerate(window.gain):
        for z, inside in ((low[c], True), (low[c] - 1, False), (high[c], True), (high[c] + 1, False)):
            s = [gain * (z - knot) + window.delta for knot in knots]
            P = [row[c] for row in window.positive]
            held = [-(31 - p) * window.width <= v < p * window.width for p, v in zip(P, s, strict=True)]
            assert all(held) == inside


@pytest.mark.parametrize(
    "arguments",
    [
        (1,),
        (17,),
        (6, ()),
        (6, (0,)),
        (6, (-3,)),
        (6, (1 << 31,)),
        (6, (1, 0)),
        (6, (1,), "Balanced"),
        (6, (1, 2), "balanced", ((3,),)),
        (6, (1,), "balanced", ((3,), ())),
        (6, (1,), "balanced", ((0,),)),
        (6, (1, 2), "balanced", ((1, 64),)),
        (6, (1,), "balanced", ((-1,),)),
    ],
)
def test_refuses(arguments):
    with pytest.raises(ParameterError):
        Window(*arguments)


@pytest.mark.parametrize("shape", [(4,), (2, 4), (1, 3, 4), (1, 1, 4)])
def test_refuses_shares_of_other_channels(shape):
    with pytest.raises(ParameterError, match="2 gains"):
        Window(6, (1, 2)).index_s(np.zeros(shape, np.uint32))
