"""Circuit privacy: the flood, its margin, the choice of parameters, and the sender's samplers."""

import math

import numpy as np
import pytest

from circa.protocols.errors import ParameterError
from circa.protocols.linear.noise import (
    check_margin,
    choose_parameters,
    decryption_bounds,
    flood_bits,
    flood_margin,
    worst_noise,
)
from circa.protocols.linear.parameters import A8192, B4096, ParameterSet, parameter_set
from circa.protocols.linear.samplers import centred_binomial, signed_uniform, ternary
from circa.protocols.linear.seal import Context, context
from circa.protocols.linear.shape import LinearShape
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31, RING32

SETS = [(p, m) for p in (B4096, A8192) for m in (RING32, PRIME31)]
ALL = "parameters, modulus"


@pytest.mark.parametrize(
    (*ALL.split(", "), "bits"), [(*s, b) for s, b in zip(SETS, [71, 73, 125, 127], strict=True)]
)
def test_flood_is_as_wide_as_the_reference_states(parameters, modulus, bits):
    chosen = context(parameters, modulus.value)
    assert flood_bits(chosen) == bits
    q = math.prod(chosen.primes)
    assert 4 * modulus.value << bits <= q < 8 * modulus.value << bits


@pytest.mark.parametrize(ALL, SETS)
def test_the_worst_flood_still_decrypts(parameters, modulus):
    error, limit = decryption_bounds(context(parameters, modulus.value))
    assert error < limit


def test_margin_of_the_reference_layers():
    """64 channels, 3x3, 8 and 16 bits: 53 and 45 bits (prime), 2 less in the ring; 99 with A8192."""
    eight, sixteen = np.full((1, 64, 3, 3), 64), np.full((1, 64, 3, 3), 1 << 14)
    assert 52.5 < flood_margin(B4096, PRIME31, eight) < 53.5
    assert 44.5 < flood_margin(B4096, PRIME31, sixteen) < 45.5
    assert 42.5 < flood_margin(B4096, RING32, sixteen) < 43.5
    assert 98.5 < flood_margin(A8192, PRIME31, sixteen) < 99.5


def test_the_bound_counts_the_largest_output():
    weights = np.array([[1, -2], [30, -70], [0, 5]])
    assert worst_noise(4096, weights) == 100 * 21.5 + 2 * 21 * 4096 + 1


def test_parameters_follow_the_margin():
    shape = LinearShape.fully_connected(1 << 13, 1)
    small, large = np.full(shape.weight_shape, 1000), np.full(shape.weight_shape, (1 << 15) - 1)
    assert choose_parameters(shape, small, RING32) == "B4096"
    assert choose_parameters(shape, large, RING32) == "A8192"
    check_margin(A8192, RING32, large)
    with pytest.raises(ParameterError, match="A8192"):
        check_margin(B4096, RING32, large)
    # the norm at which the choice changes is that of the bound, to within one weight
    most = (2.0 ** (71 - 40) - 2 * 21 * 4096 - 1) / 21.5
    row = np.full((1, 1 << 12, 1, 1), int(most) >> 12)
    row[0, 0] += int(most) - row.sum()
    check_margin(B4096, RING32, row)
    row[0, 0] += 1
    with pytest.raises(ParameterError, match="circuit privacy"):
        check_margin(B4096, RING32, row)


def test_parameters_follow_the_kernel():
    shape = LinearShape(1, 80, 80, 1, (70, 70))
    assert choose_parameters(shape, np.ones(shape.weight_shape, np.int64), RING32) == "A8192"
    too_large = LinearShape(1, 99, 99, 1, (99, 99))
    with pytest.raises(ParameterError, match="kernel"):
        choose_parameters(too_large, np.ones(too_large.weight_shape, np.int64), RING32)


def test_parameter_sets_keep_to_the_security_limits():
    with pytest.raises(ParameterError, match="limit"):
        ParameterSet("X", 4096, (47, 60), 17, seal_checks=False)
    with pytest.raises(ParameterError, match="B4096"):
        parameter_set("C1024")
    with pytest.raises(
        AssertionError, match="security"
    ):  # SEAL's own check counts the 17 bits of the last prime
        Context(ParameterSet("X", 4096, (46, 60), 17, seal_checks=True), RING32.value)


def test_ternary_is_uniform():
    counts = np.bincount(ternary(Prg(b"ternary sampler."), 90000) + 1, minlength=3)
    assert counts.size == 3
    assert (np.abs(counts - 30000) < 5 * math.sqrt(90000 * 2 / 9)).all()


def test_centred_binomial_has_the_stated_moments():
    x = centred_binomial(Prg(b"binomial sampler"), 100000)
    assert np.abs(x).max() <= 21
    assert abs(x.mean()) < 5 * math.sqrt(10.5 / x.size)
    assert abs(x.var() - 10.5) < 5 * 10.5 * math.sqrt(2 / x.size)
    assert len(np.unique(x)) > 20


@pytest.mark.parametrize("bits", [60, 71, 73, 95, 127])
def test_flood_is_uniform_in_its_interval(bits):
    """Recovered from its residues, it fills [-2^bits, 2^bits) evenly: ends, halves, and 16 bins."""
    primes = context(A8192, RING32.value).primes
    n, q = 20000, math.prod(primes)
    residues = signed_uniform(Prg(b"flooding sampler"), bits, n, primes)
    assert residues.shape == (len(primes), n)
    lifted = np.zeros(n, object)
    for p, row in zip(primes, residues, strict=True):
        lifted += row.astype(object) * (q // p) * pow(q // p, -1, p)
    lifted %= q
    values = np.where(lifted > q // 2, lifted - q, lifted)
    assert -(1 << bits) <= values.min() < -(1 << bits) * 0.999
    assert (1 << bits) * 0.999 < values.max() < 1 << bits
    counts = np.bincount(((values + (1 << bits)) >> (bits - 3)).astype(int), minlength=16)
    assert counts.size == 16
    assert (np.abs(counts - n / 16) < 5 * math.sqrt(n / 16)).all()
    odd = sum(int(v) & 1 for v in values)
    assert abs(odd - n / 2) < 5 * math.sqrt(n) / 2


def test_samplers_follow_the_prg():
    for sample in (
        lambda p: ternary(p, 50),
        lambda p: centred_binomial(p, 50),
        lambda p: signed_uniform(p, 71, 50, (97,)),
    ):
        first = sample(Prg(bytes(16)))
        np.testing.assert_array_equal(first, sample(Prg(bytes(16))))
        assert (first != sample(Prg(b"another seed 016"))).any()
