"""The sender's noise: kernels and NumPy give the same, and what they give is what is drawn."""

import numpy as np
import pytest

from circa.protocols import kernels
from circa.protocols.linear import samplers
from circa.protocols.prg import Prg, accept, accept_numpy

NATIVE = kernels.native()
PRIMES = (70368743587841, 1152921504606830593, 97)

native_only = pytest.mark.skipif(not NATIVE, reason="no native kernels on this machine")


def integers(low, limbs, bits):
    """What `signed_uniform` draws, as Python integers: 60 bits, limbs of 12 above them, the last narrower."""
    values = [int(word) >> 4 for word in low]
    for i, row in enumerate(limbs):
        width = min(12, bits + 1 - 60 - 12 * i)
        values = [v + ((int(limb) >> 16 - width) << 60 + 12 * i) for v, limb in zip(values, row, strict=True)]
    return [value - (1 << bits) for value in values]


@pytest.mark.parametrize("fill", ["zeros", "ones", "random"])
@pytest.mark.parametrize("bits", [60, 61, 71, 72, 73, 127])
@pytest.mark.parametrize(
    "reduce",
    [samplers.signed_residues_numpy, pytest.param("native", marks=native_only)],
    ids=["numpy", "native"],
)
def test_wide_integers_are_reduced_modulo_each_prime(reduce, bits, fill):
    n, count = 50, (bits - 60) // 12 + 1
    low, limbs = Prg(bytes(16)).uint64(n), Prg(bytes(16)).bytes(2 * n * count).view(np.uint16)
    limbs = limbs.reshape(count, n)
    if fill != "random":
        low[:], limbs[:] = (0, 0) if fill == "zeros" else (2**64 - 1, 2**16 - 1)
    drawn = integers(low, limbs, bits)
    assert all(-(1 << bits) <= value < 1 << bits for value in drawn)
    if fill != "random":
        assert set(drawn) == {-(1 << bits) if fill == "zeros" else (1 << bits) - 1}
    if reduce == "native":
        out = np.empty((3, n), np.uint64)
        NATIVE.signed_residues(low, limbs, bits, list(PRIMES), out)
    else:
        out = reduce(low, limbs, bits, PRIMES)
    assert out.tolist() == [[value % q for value in drawn] for q in PRIMES]


@native_only
@pytest.mark.parametrize("n", [0, 1, 5, 4096])
def test_kernels_draw_what_numpy_draws(monkeypatch, n):
    def draw():
        prg = Prg(b"a sampler's seed")
        samples = (
            samplers.ternary(prg, n),
            samplers.signed_uniform(prg, 72, n, PRIMES),
            samplers.centred_binomial(prg, n),
        )
        return *samples, prg.bytes(16)

    ours = draw()
    monkeypatch.setattr(kernels, "native", lambda: None)
    for mine, expected in zip(ours, draw(), strict=True):
        assert mine.dtype == expected.dtype
        np.testing.assert_array_equal(mine, expected)


def test_the_centred_binomial_counts_bits():
    draw = np.array([0, (1 << 21) - 1, ((1 << 21) - 1) << 21, 1 << 42, 2**64 - 1, 0b101, 1 << 21], np.uint64)
    expected = [0, 21, -21, 0, 0, 2, -1]
    assert samplers.centred_binomial_numpy(draw).tolist() == expected
    if NATIVE:
        out = np.empty(7, np.int64)
        NATIVE.centred_binomial(draw, 21, out)
        assert out.tolist() == expected


@pytest.mark.parametrize("bound", [3, 1000, (1 << 31) - 1, (1 << 32) - 1])
@pytest.mark.parametrize("room", [0, 1, 100, 5000])
def test_accepted_words_are_the_same(bound, room):
    """Fewer than the room, as many, and more."""
    draw = Prg(bytes(16)).uint32(1000)
    ours, expected = np.zeros((2, room), np.uint32)
    count = accept(draw, bound, ours)
    assert count == accept_numpy(draw, bound, expected)
    np.testing.assert_array_equal(ours[:count], expected[:count])
    assert (expected < bound).all()


@native_only
def test_arrays_that_do_not_fit_are_refused():
    low, out = np.zeros(5, np.uint64), np.zeros((2, 5), np.uint64)
    limbs, primes = np.zeros((2, 5), np.uint16), list(PRIMES[:2])
    NATIVE.signed_residues(low, limbs, 72, primes, out)
    for arguments in (
        (low[:4], limbs, 72, primes, out),
        (low, limbs[:1], 72, primes, out),
        (low, limbs, 84, primes, out),
        (low, limbs, 59, primes, out),
        (low, limbs, 72, primes[:1], out),
        (low, limbs, 72, [1 << 60] * 2, out),
        (low, limbs, 72, primes, out[:, :4].copy()),
    ):
        with pytest.raises((ValueError, TypeError)):
            NATIVE.signed_residues(*arguments)
    for arguments in ((low, 21, np.zeros(4, np.int64)), (low, 33, np.zeros(5, np.int64))):
        with pytest.raises(ValueError, match=r"length|bits"):
            NATIVE.centred_binomial(*arguments)
    with pytest.raises(ValueError, match="bound"):
        NATIVE.below(np.zeros(5, np.uint32), 1, np.zeros(5, np.uint32))
