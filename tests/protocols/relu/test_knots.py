"""Sums of shifted ReLUs as one plain layer: the shares are those of the terms, and they add up."""

import itertools

import numpy as np
import pytest
from relus import split_shares

from circa.protocols.errors import ParameterError
from circa.protocols.prg import Prg
from circa.protocols.relu import Activation, knots
from circa.protocols.shares import PRIME31, RING32

MODULI = [PRIME31, RING32]
SUMS = [((0,), (1,)), ((0,), (-1,)), ((5,), (1,)), ((0, 600), (1, -1)), ((-700, -3, 40), (-1, 1, 1))]


def layer(modulus, sum_):
    return Activation(modulus, 2, 5, knots=sum_[0], coefs=sum_[1])


@pytest.mark.parametrize(("modulus", "sum_"), [*itertools.product(MODULI, SUMS)])
def test_terms_are_shares_of_z_minus_each_knot(modulus, sum_):
    act = layer(modulus, sum_)
    z = np.random.default_rng(1).integers(-1000, 1000, act.shape(3))
    z_s, z_c = split_shares(modulus, z)
    plain = knots.plain(act)
    terms = modulus.add(knots.spread_sender(act, z_s), knots.spread_receiver(act, z_c))
    assert terms.shape == plain.shape(3)
    found = modulus.decode(terms).reshape(3, 2, len(act.knots), 5)
    for j, knot in enumerate(act.knots):
        np.testing.assert_array_equal(found[:, :, j], z - knot)
    assert plain.knots == (0,)
    assert plain.coefs == (1,)


@pytest.mark.parametrize(("modulus", "sum_"), [*itertools.product(MODULI, SUMS)])
def test_results_add_up(modulus, sum_):
    act, prg = layer(modulus, sum_), Prg(b"shares of result")
    y_c = modulus.uniform(prg, act.shape(3))
    terms = knots.spread_result(act, y_c, prg)
    assert terms.shape == knots.plain(act).shape(3)
    np.testing.assert_array_equal(knots.gather(act, terms), y_c)
    by_hand = np.zeros(act.shape(3), np.int64)
    for j, coef in enumerate(act.coefs):
        by_hand += coef * terms.reshape(3, 2, -1, 5)[:, :, j].astype(np.int64)
    np.testing.assert_array_equal(np.mod(by_hand, modulus.value), y_c)


def test_terms_of_the_result_are_uniform():
    """Each of them, also the one that makes up the sum; y_c fixed."""
    act = Activation(RING32, 1, 1 << 14, knots=(0, 6), coefs=(1, -1))
    terms = knots.spread_result(act, np.zeros(act.shape(1), np.uint32), Prg(b"uniform or not??"))
    for term in terms.reshape(2, -1):
        seen = np.bincount(term.view(np.uint8), minlength=256)
        mean = 4 * term.size / 256
        assert abs(((seen - mean) ** 2 / mean).sum() - 255) < 6 * np.sqrt(2 * 255)


def test_a_plain_layer_is_passed_through():
    act = layer(RING32, SUMS[0])
    x = np.zeros(act.shape(1), np.uint32)
    assert knots.plain(act) is act
    assert knots.spread_sender(act, x) is x
    assert knots.spread_receiver(act, x) is x
    assert knots.spread_result(act, x, Prg(bytes(16))) is x
    assert knots.gather(act, x) is x


def test_no_knot_is_refused():
    with pytest.raises(ParameterError, match="its protocol is `rescale`"):
        knots.plain(Activation(RING32, 1, 1, knots=(), coefs=()))


@pytest.mark.parametrize("sum_", SUMS)
def test_shares_of_another_layer_are_refused(sum_):
    act, other = layer(RING32, sum_), np.zeros((1, 2, 6), np.uint32)
    for function in (
        knots.spread_sender,
        knots.spread_receiver,
        lambda *x: knots.spread_result(*x, Prg(bytes(16))),
    ):
        with pytest.raises(ParameterError, match="a share of this layer"):
            function(act, other)
