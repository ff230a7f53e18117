"""The select with exact rescale, for sign bits that are given: the algebra over every modulus and shift."""

import numpy as np
import pytest
from otpairs import ot_setups
from relus import RECEIVER_SEED, SENDER_SEED, dealt_cots, split_shares

from circa.protocols.errors import CheckFailed
from circa.protocols.ot.softspoken import DEFAULT_K
from circa.protocols.prg import Prg
from circa.protocols.relu import select
from circa.protocols.relu.arithmetic import arithmetic
from circa.protocols.relu.columns import Columns, message_size
from circa.protocols.relu.material import nbytes
from circa.protocols.relu.simulate import rescaled
from circa.protocols.shares import PRIME31, RING32
from circa.protocols.steps import complete
from harness import run_pair

MODULI = [RING32, PRIME31]
SHIFTS = [0, 1, 5, 7, 8, 9, 12, 16, 17, 24]


def values(modulus, count, seed=0):
    """Signed integers over the whole range that the rescale allows, its ends and those next to zero."""
    bound = modulus.value // 4 - (1 << 24)
    rng = np.random.default_rng(seed)
    z = rng.integers(-bound, bound, count)
    z[count // 2 :] >>= rng.integers(0, 29, count - count // 2)
    z[:8] = [0, 1, -1, bound, -bound, 255, 256, -256]
    return z


def deal(modulus, shift, b, coefs, z_c, y_c, setups=None):
    ar, (left, right) = arithmetic(modulus, shift), setups or ot_setups("ideal")
    return run_pair(
        lambda ch: complete(select.prepare_sender(ch, left(ch), ar, b, Prg(SENDER_SEED))),
        lambda ch: complete(select.prepare_receiver(ch, right(ch), ar, coefs, z_c, y_c, Prg(RECEIVER_SEED))),
    )


def through(ar, terms, opened, columns):
    """What the peer reads of a message with these columns."""
    count = opened[0].size
    message = Columns(count, columns)
    message.put(slice(0, count), opened)
    assert message.data.size == message_size(count, columns)
    return Columns(count, columns, message.data.tobytes()).get(slice(0, count))


def select_shares(modulus, shift, coefs, knots, z, bits, setups=None, seed=0):
    """y from the protocol for sign bits `bits` (J, count), and both messages."""
    ar, J = arithmetic(modulus, shift), len(coefs)
    z_s, z_c = split_shares(modulus, z, seed)
    prg = Prg(b"shared test bits")
    b, y_c = prg.bits(bits.shape), modulus.uniform(prg, z.size)
    sent, received, _ = deal(modulus, shift, b, coefs, z_c, y_c, setups)
    z_j = [modulus.sub(z_s, modulus.encode(np.full_like(z, knot))) for knot in knots]
    y, opened = select.opening(ar, sent, coefs, z_j)
    first = through(ar, J, opened, select.opening_columns(ar, J))
    answered = select.answer(ar, received, first, list(bits ^ b))
    select.finish(ar, sent, y, through(ar, J, answered, select.answer_columns(ar, J)))
    expected = np.zeros_like(z_s)
    for c, v, share in zip(coefs, bits, z_j, strict=True):
        term = rescaled(modulus, shift, share, z_c) * v
        expected = (modulus.add if c > 0 else modulus.sub)(expected, term)
    return modulus.add(y, y_c), expected, opened, answered


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("knots", [(0,), (0, 77_000, -3)])
def test_algebra(modulus, shift, knots):
    """y = sum c v trunc(z - knot), exactly as the shares determine it, for both values of every bit."""
    z = values(modulus, 4000)
    z -= np.sign(z) * 80_000 * (np.abs(z) > 1 << 28)  # leave room for the knots
    bits = Prg(b"bits to multiply").bits((len(knots), z.size))
    coefs = (1, -1, -1)[: len(knots)]
    y, expected, _, _ = select_shares(modulus, shift, coefs, knots, z, bits)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("modulus", MODULI)
def test_over_softspoken(modulus):
    z = values(modulus, 500)
    bits = Prg(b"bits to multiply").bits((2, z.size))
    y, expected, _, _ = select_shares(modulus, 10, (1, -1), (0, 5), z, bits, ot_setups("softspoken"))
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("shift", range(25))
def test_rescale_is_exact_up_to_one_unit(modulus, shift):
    """For every share, at corners and over the whole range; in the ring it never rounds up."""
    for seed in range(5):
        z = values(modulus, 20_000, seed)
        z_s, z_c = split_shares(modulus, z, seed)
        error = modulus.decode(rescaled(modulus, shift, z_s, z_c)) - (z >> shift)
        if not shift:
            assert not error.any()
        else:
            assert error.min() >= -1
            assert error.max() <= (0 if modulus.is_ring else 1)


@pytest.mark.parametrize("modulus", MODULI)
def test_rescale_at_the_ends_of_its_range(modulus):
    """z in [-o, M/2 - o): beyond either end some shares are wrong by Q."""
    shift, M = 8, modulus.value
    o = M // 4 >> shift << shift
    ends = np.array([-o, (M + 1) // 2 - o - 1]).repeat(5000)
    z_s, z_c = split_shares(modulus, ends)
    assert np.abs(modulus.decode(rescaled(modulus, shift, z_s, z_c)) - (ends >> shift)).max() <= 1
    # z + o = -2 from two shares below M/2, and z + o = the first value above M/2 from a share alone
    for beyond, shifted in ((-o - 2, M // 2 - 1), ((M + 1) // 2 - o, (M + 1) // 2)):
        z_c = np.array([(shifted - o) % M], np.uint32)
        z_s = modulus.sub(modulus.encode(np.array([beyond])), z_c)
        error = modulus.decode(rescaled(modulus, shift, z_s, z_c)) - (beyond >> shift)
        assert abs(abs(int(error[0])) - (M >> shift)) <= 1


@pytest.mark.parametrize(
    ("modulus", "shift", "terms"),
    [(RING32, 0, 3), (RING32, 8, 1), (RING32, 13, 3), (PRIME31, 0, 1), (PRIME31, 8, 2)],
)
def test_cost_formulas(modulus, shift, terms):
    ar, count = arithmetic(modulus, shift), 1003
    z_s, z_c = split_shares(modulus, values(modulus, count))
    b = Prg(b"shared test bits").bits((terms, count))
    sent, received, transcript = deal(modulus, shift, b, (1,) * terms, z_c, z_s, dealt_cots())
    down, up = select.offline_bytes(ar, terms, count, DEFAULT_K)
    assert (transcript.left.bytes_sent, transcript.right.bytes_sent) == (down, up)
    assert (nbytes(sent), nbytes(received)) == tuple(count * size for size in select.stored_bytes(ar, terms))


def chi_square(words):
    """Of the bytes of an array against uniform ones, in standard deviations above the mean."""
    data = np.ascontiguousarray(words).view(np.uint8)
    seen = np.bincount(data, minlength=256)
    statistic = ((seen - data.size / 256) ** 2 / (data.size / 256)).sum()
    return (statistic - 255) / np.sqrt(2 * 255)


@pytest.mark.parametrize("z", [0, 1, -(1 << 28)])
@pytest.mark.parametrize("bit", [0, 1])
def test_messages_are_uniform_whatever_the_value(z, bit):
    """D, D1, D2, P, e, e2 for one value and one bit, at fixed shares of it."""
    count = 1 << 14
    ar, b = arithmetic(RING32, 8), Prg(b"shared test bits").bits((1, count))
    z_c = np.full(count, 12345, np.uint32)
    z_s = RING32.encode(np.full(count, z)) - z_c
    y_c = RING32.uniform(Prg(b"share of result!"), count)
    sent, received, _ = deal(RING32, 8, b, (1,), z_c, y_c)
    _, opened = select.opening(ar, sent, (1,), [z_s])
    answered = select.answer(ar, received, opened, [np.full(count, bit, np.uint8) ^ b[0]])
    for column in (*opened, answered[0]):
        assert abs(chi_square(column)) < 6
    for bits in answered[1:]:
        assert abs(int(bits.sum()) - count / 2) < 6 * np.sqrt(count / 4)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_unreduced_residues_are_refused(column):
    """A prime's residue that is not below M, in D, D2 and D1, and in P."""
    ar, z = arithmetic(PRIME31, 8), values(PRIME31, 64)
    z_s, z_c = split_shares(PRIME31, z)
    b = Prg(b"shared test bits").bits((1, 64))
    sent, received, _ = deal(PRIME31, 8, b, (1,), z_c, z_s)
    y, opened = select.opening(ar, sent, (1,), [z_s])
    answered = select.answer(ar, received, opened, [b[0]])
    opened[column][63] = PRIME31.value
    with pytest.raises(CheckFailed, match="not below"):
        select.answer(ar, received, opened, [b[0]])
    answered[0][0] = (1 << 31) - 1
    with pytest.raises(CheckFailed, match="not below"):
        select.finish(ar, sent, y, answered)
