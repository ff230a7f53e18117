"""Arithmetic mod 2^32 and mod the prime against Python's integers, sharing, and what a peer may send."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circa.protocols.channel import recv_array, send_array
from circa.protocols.errors import CheckFailed, FramingError, ParameterError
from circa.protocols.prg import Prg
from circa.protocols.shares import (
    PRIME31,
    RING32,
    Modulus,
    recv_residues,
    residue_bytes,
    reveal,
    send_residues,
    share,
)
from harness import run_pair

MODULI = [RING32, PRIME31]
both = pytest.mark.parametrize("modulus", MODULI, ids=["ring", "prime"])


@st.composite
def residues(draw):
    modulus = draw(st.sampled_from(MODULI))
    edge = st.sampled_from([0, 1, modulus.value // 2, modulus.value // 2 + 1, modulus.value - 1])
    numbers = st.one_of(edge, st.integers(0, modulus.value - 1))
    return modulus, draw(numbers), draw(numbers)


@given(residues())
def test_arithmetic_is_that_of_the_integers(case):
    modulus, a, b = case
    m, x, y = modulus.value, np.array([a], np.uint32), np.array([b], np.uint32)
    for function, expected in (
        (modulus.add, (a + b) % m),
        (modulus.sub, (a - b) % m),
        (modulus.mul, a * b % m),
    ):
        result = function(x, y)
        assert result.dtype == np.uint32
        assert result.tolist() == [expected]
    assert modulus.neg(x).tolist() == [-a % m]
    assert (x.tolist(), y.tolist()) == ([a], [b])


@given(residues())
def test_decode_is_the_representative_next_to_zero(case):
    modulus, a, _ = case
    value = int(modulus.decode(np.array([a], np.uint32))[0])
    assert value % modulus.value == a
    assert -(modulus.value // 2) <= value < (modulus.value + 1) // 2
    assert modulus.encode(np.array([value])).tolist() == [a]


@both
def test_encode_reduces_any_integer(modulus):
    values = [0, -1, 1, -(1 << 40) - 3, (1 << 40) + 5, modulus.value, -modulus.value]
    assert modulus.encode(np.array(values)).tolist() == [value % modulus.value for value in values]


def test_bits():
    assert (RING32.bits, PRIME31.bits) == (32, 31)
    assert (RING32.is_ring, PRIME31.is_ring) == (True, False)


@pytest.mark.parametrize("value", [0, 1 << 31, 1 << 30, (1 << 31) + 1, 2138816512, 1 << 33, -3])
def test_other_moduli_are_refused(value):
    with pytest.raises(ParameterError, match="neither 2\\^32 nor an odd number of 31 bits"):
        Modulus(value)


@both
def test_shares_add_up_and_depend_on_the_generator(modulus):
    x = modulus.encode(np.arange(-500, 500).reshape(20, 50))
    x_c, x_s = share(x, Prg(bytes(16)), modulus)
    assert np.array_equal(modulus.add(x_c, x_s), x)
    other, _ = share(x, Prg(b"1" * 16), modulus)
    assert not np.any(np.equal(x_c, other).all(axis=1))


@both
def test_reveal_is_one_round_of_l_bits_an_element(modulus):
    x = modulus.encode(np.arange(-30, 30).reshape(6, 10))
    x_c, x_s = share(x, Prg(bytes(16)), modulus)
    left, right, wire = run_pair(lambda ch: reveal(ch, x_c, modulus), lambda ch: reveal(ch, x_s, modulus))
    assert np.array_equal(left, x)
    assert np.array_equal(right, x)
    assert wire.rounds == 1
    assert wire.left.bytes_sent == wire.right.bytes_sent == residue_bytes(60, modulus)
    assert residue_bytes(60, modulus) == -(-60 * modulus.bits // 8)


@pytest.mark.parametrize("value", [2138816513, (1 << 31) - 1])
def test_a_residue_above_the_prime_is_refused(value):
    sent = np.array([0, 5, value], np.uint32)
    with pytest.raises(CheckFailed, match="not below 2138816513"):
        run_pair(lambda ch: send_residues(ch, sent, PRIME31), lambda ch: recv_residues(ch, 3, PRIME31))
    _, ring, _ = run_pair(lambda ch: send_residues(ch, sent, RING32), lambda ch: recv_residues(ch, 3, RING32))
    assert np.array_equal(ring, sent)


@both
@pytest.mark.parametrize("shape", [(0,), (1,), (7, 3), (2, 3, 4)])
def test_residues_travel_in_l_bits(modulus, shape):
    sent = modulus.uniform(Prg(bytes(16)), shape)
    _, got, wire = run_pair(
        lambda ch: send_residues(ch, sent, modulus), lambda ch: recv_residues(ch, shape, modulus)
    )
    assert np.array_equal(got, sent)
    assert got.dtype == np.uint32
    assert not got.flags.writeable
    assert wire.left.bytes_sent == -(-sent.size * modulus.bits // 8)


def test_no_residues_at_all():
    _, empty, _ = run_pair(
        lambda ch: send_array(ch, np.zeros((0, 4), np.uint32)), lambda ch: recv_residues(ch, (0, 4), PRIME31)
    )
    assert empty.shape == (0, 4)


@pytest.mark.parametrize("size", [46, 48, 0])
def test_a_wrong_number_of_residues_is_refused(size):
    with pytest.raises(FramingError, match=f"expected a message of 47 bytes, got {size}"):
        run_pair(
            lambda ch: ch.send(bytes(size)),
            lambda ch: recv_residues(ch, (3, 4), PRIME31),
        )


def test_received_residues_are_read_only():
    def right(ch):
        return recv_array(ch, np.uint32, 2)

    _, got, _ = run_pair(lambda ch: send_array(ch, np.zeros(2, np.uint32)), right)
    with pytest.raises(ValueError, match="read-only"):
        got[0] = 1
