"""Gilboa products: shares of choice times correlation, over ideal and real COTs."""

import numpy as np
import pytest
from otpairs import ot_setups
from wire import check_baseline

from circa.protocols.channel import memory_pair
from circa.protocols.errors import CheckFailed, FramingError, ParameterError
from circa.protocols.ot.products import product_bytes, recv_products, send_products
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31, RING32, Modulus
from harness import run_pair

MODULI = [RING32, PRIME31, 1, 5, 8, 12, 31, 32]


def value(modulus):
    return modulus.value if isinstance(modulus, Modulus) else 1 << modulus


def run(ot, choices, correlation, modulus):
    left, right = ot
    return run_pair(
        lambda ch: send_products(ch, left(ch).sender.extend(choices.size), correlation, modulus),
        lambda ch: recv_products(ch, right(ch).receiver.extend(choices), modulus),
    )


def data(n, modulus):
    """Uniform correlations and choices, with both ends of the range under both choices."""
    x, r = Prg(b"correlations 016").below(value(modulus), n), Prg(b"choices of test.").bits(n)
    x[:4], r[:4] = [0, 0, value(modulus) - 1, value(modulus) - 1], [0, 1, 0, 1]
    return x, r


@pytest.mark.parametrize("modulus", MODULI, ids=str)
def test_shares_of_the_product(modulus, ot):
    x, r = data(1001, modulus)
    s, c, _ = run(ot, r, x, modulus)
    assert s.dtype == c.dtype == np.uint32
    assert max(s.max(), c.max()) < value(modulus)
    assert ((s.astype(np.uint64) + c) % value(modulus) == x.astype(np.uint64) * r).all()


def test_across_chunks_and_shapes():
    x, r = data(21 * 800, 12)
    s, c, _ = run(ot_setups("ideal"), r, x.reshape(-1, 7, 3), 12)
    assert s.shape == (800, 7, 3)
    assert c.shape == x.shape
    assert ((s.reshape(-1) + c) & 0xFFF == x * r).all()


@pytest.mark.parametrize("modulus", [RING32, PRIME31, 7], ids=str)
def test_each_share_is_uniform(modulus):
    """Mean of a share within five standard deviations of the uniform one, for the extremes of x and r."""
    n = 1 << 14
    for x, r in ((0, 0), (0, 1), (value(modulus) - 1, 0), (value(modulus) - 1, 1)):
        s, c, _ = run(ot_setups("ideal"), np.full(n, r, np.uint8), np.full(n, x, np.uint32), modulus)
        for half in (s, c):
            assert abs(half.mean() / value(modulus) - 0.5) < 5 / np.sqrt(12 * n) + 1 / value(modulus)


def test_corrections_hide_the_correlation():
    """Chi-square of the bytes of d for x = 0 and x = 2^32 - 1: 255 degrees of freedom."""
    n = 1 << 14
    for x in (0, (1 << 32) - 1):
        _, _, wire = run(ot_setups("ideal"), np.ones(n, np.uint8), np.full(n, x, np.uint32), RING32)
        counts = np.bincount(np.frombuffer(wire.left_sent[0], np.uint8), minlength=256)
        assert ((counts - n / 64) ** 2 / (n / 64)).sum() < 384


@pytest.mark.parametrize("modulus", MODULI, ids=str)
@pytest.mark.parametrize("n", [4, 1001])
def test_cost(modulus, n):
    x, r = data(n, modulus)
    _, _, wire = run(ot_setups("ideal"), r, x, modulus)
    bits = modulus.bits if isinstance(modulus, Modulus) else modulus
    assert wire.left.bytes_sent == product_bytes(n, modulus) == -(-n * bits // 8)
    assert wire.right.bytes_sent == 0
    assert wire.left.messages_sent == 1


def test_wire_baseline():
    for modulus in (RING32, PRIME31, 12):
        x, r = data(64, modulus)
        check_baseline(f"products-64-{value(modulus)}", run(ot_setups("ideal"), r, x, modulus)[2])


@pytest.mark.parametrize("size", [0, 30, 32, 62])
def test_receiver_refuses_the_wrong_length(size):
    left, right = memory_pair()
    received = ot_setups("ideal")[1](right).receiver.extend(np.ones(8, np.uint8))
    left.send(bytes(size))
    with pytest.raises(FramingError):
        recv_products(right, received, PRIME31)


def test_receiver_refuses_a_correction_that_is_not_reduced():
    left, right = memory_pair()
    received = ot_setups("ideal")[1](right).receiver.extend(np.zeros(8, np.uint8))
    left.send(b"\xff" * 31)
    with pytest.raises(CheckFailed):
        recv_products(right, received, PRIME31)


@pytest.mark.parametrize(
    ("count", "dtype", "modulus"), [(7, np.uint32, 8), (8, np.int64, 8), (8, np.uint32, 33)]
)
def test_sender_refuses_bad_arguments(count, dtype, modulus):
    (left, _), setups = memory_pair(), ot_setups("ideal")
    setups[1](left).receiver.extend(np.zeros(8, np.uint8))
    sent = setups[0](left).sender.extend(8)
    with pytest.raises(ParameterError):
        send_products(left, sent, np.zeros(count, dtype), modulus)
