"""The arithmetic of the select against Python's integers."""

import numpy as np
import pytest
from relus import corners

from circa.protocols.prg import Prg
from circa.protocols.relu.arithmetic import arithmetic, as_mask, widen
from circa.protocols.shares import PRIME31, RING32

MODULI = [RING32, PRIME31]
SHIFTS = [1, 7, 8, 9, 16, 17, 24]


def pairs(modulus):
    """All pairs of corners, and random ones."""
    at = corners(modulus)
    rng = np.random.default_rng(5)
    x = np.concatenate([np.repeat(at, at.size), rng.integers(0, modulus.value, 500, dtype=np.uint32)])
    y = np.concatenate([np.tile(at, at.size), rng.integers(0, modulus.value, 500, dtype=np.uint32)])
    return x, y


def units(ar, count, seed=b"units of a test!"):
    return ar.reduce_units(ar.uniform_units(Prg(seed), count))


def order(ar):
    """Of the group of the units."""
    return 1 << ar.shift if ar.modulus.is_ring else ar.modulus.value


@pytest.mark.parametrize("modulus", MODULI)
def test_residues(modulus):
    ar, M = arithmetic(modulus, 8), modulus.value
    x, y = pairs(modulus)
    mask = as_mask(np.arange(x.size, dtype=np.uint8) % 2)
    for name, expected in (
        ("add_", [(int(a) + int(b)) % M for a, b in zip(x, y, strict=True)]),
        ("sub_", [(int(a) - int(b)) % M for a, b in zip(x, y, strict=True)]),
    ):
        out = x.copy()
        getattr(ar, name)(out, y)
        assert out.tolist() == expected
    out = x.copy()
    ar.negate_where_(out, mask)
    assert out.tolist() == [-int(a) % M if m else int(a) for a, m in zip(x, mask, strict=True)]


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("shift", SHIFTS)
def test_units(modulus, shift):
    ar = arithmetic(modulus, shift)
    N, x, y = order(ar), units(ar, 300), units(ar, 300, b"other test units")
    assert x.dtype == ar.unit_dtype
    assert int(x.max()) < N
    x[:3], y[:3] = [0, N - 1, N - 1], [0, N - 1, 1]
    mask = as_mask(np.arange(300, dtype=np.uint8) % 2)
    for name, expected in (
        ("add_units_", [(int(a) + int(b)) % N for a, b in zip(x, y, strict=True)]),
        ("sub_units_", [(int(a) - int(b)) % N for a, b in zip(x, y, strict=True)]),
    ):
        out = x.copy()
        getattr(ar, name)(out, y)
        assert ar.reduce_units(out).tolist() == expected
    out = x.copy()
    ar.negate_units_where_(out, mask)
    assert ar.reduce_units(out).tolist() == [
        -int(a) % N if m else int(a) for a, m in zip(x, mask, strict=True)
    ]


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("shift", SHIFTS)
def test_lift(modulus, shift):
    """Units are multiples of Q: a homomorphism into the residues that takes below_half to 0 or Q."""
    ar, Q = arithmetic(modulus, shift), modulus.value >> shift
    x, y = units(ar, 300), units(ar, 300, b"other test units")
    total = x.copy()
    ar.add_units_(total, y)
    lifted = ar.lift(x)
    ar.add_(lifted, ar.lift(y))
    np.testing.assert_array_equal(lifted, ar.lift(total))
    z = pairs(modulus)[0]
    expected = [Q if 2 * int(a) < modulus.value else 0 for a in z]
    assert ar.lift(ar.below_half(z)).tolist() == expected


@pytest.mark.parametrize("shift", SHIFTS)
def test_units_of_the_ring_are_narrow(shift):
    ar = arithmetic(RING32, shift)
    assert ar.unit_width == shift
    assert 8 * ar.unit_dtype.itemsize >= shift > 4 * ar.unit_dtype.itemsize or shift == 1


def test_masks():
    mask = as_mask(np.array([0, 1], np.uint8))
    assert mask.tolist() == [0, 255]
    for dtype in (np.uint8, np.uint16, np.uint32):
        wide = widen(mask, np.dtype(dtype))
        assert wide.dtype == dtype
        assert wide.tolist() == [0, np.iinfo(dtype).max]
