import itertools

import numpy as np
import pytest

from circa.protocols.errors import ParameterError
from circa.protocols.garbling.halfgates import ZeroLabels, encode, evaluate, garble
from circa.protocols.garbling.plain import evaluate_plain, from_bits, to_bits
from circa.protocols.garbling.relu_circuits import (
    delphi_relu,
    exact_sign,
    share_choices,
    stochastic_sign,
    window_sign,
)
from circa.protocols.garbling.yao import table_bytes
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31, RING32

MODULI = [PRIME31, RING32]


def pairs(modulus):
    """Shares that meet every edge, and random ones."""
    M = modulus.value
    edges = {
        0,
        1,
        2,
        M - 1,
        M - 2,
        M // 2,
        M // 2 - 1,
        M // 2 + 1,
        1 << 13,
        1 << 17,
        (1 << 17) - 1,
        (1 << 30) + 3,
    }
    grid = np.array(list(itertools.product(sorted(edges), repeat=2)), np.uint32).T
    random = Prg(b"pairs of shares.").fork()
    return (np.concatenate([side, modulus.uniform(random, 300)]) for side in grid)


def run(circuit, garbler, fixed, evaluator):
    """The value of the circuit in the clear, and that garbled evaluation agrees."""
    plain = evaluate_plain(circuit, garbler, fixed, evaluator)
    prg, n = Prg(b"garbled, too...."), garbler.shape[1]
    delta = prg.blocks(1)[0] | np.array([1, 0], np.uint64)
    own, peers = (ZeroLabels(prg.uint64((bits.shape[0], n, 2))) for bits in (garbler, evaluator))
    tables, zero = garble(circuit, own, fixed, peers, delta, 0)
    assert tables.nbytes == table_bytes(circuit, n)
    active = evaluate(circuit, encode(own, delta, garbler), encode(peers, delta, evaluator), tables, 0)
    assert np.array_equal(active.colours() ^ zero.permute_bits(), plain)
    return from_bits(plain).astype(np.int64)


def none(like):
    return np.zeros((0, like.size), np.uint8)


def relu_of(x, modulus):
    """The circuit's notion of positive: below (M-1)/2 for the prime, bit 31 clear in the ring."""
    return np.where(x < modulus.value // 2, x, 0)


def test_and_counts_of_the_prime():
    assert delphi_relu(PRIME31).ands == 240
    assert table_bytes(delphi_relu(PRIME31), 1) == 7680
    assert exact_sign(PRIME31).ands == 145
    for mode in ("poszero", "negpass"):
        assert [stochastic_sign(PRIME31, k, mode).ands for k in (0, 12, 17)] == [62, 50, 45]
        assert table_bytes(stochastic_sign(PRIME31, 17, mode), 1) == 1440
    assert [delphi_relu(PRIME31, f).ands for f in range(1, 30)] == [240 - f for f in range(1, 30)]
    assert [stochastic_sign(PRIME31, k, "poszero").ands for k in range(31)] == [62 - k for k in range(31)]


def test_and_counts_of_the_ring():
    assert [delphi_relu(RING32, f).ands for f in range(31)] == [93 - f for f in range(31)]
    assert exact_sign(RING32).ands == 63
    assert [stochastic_sign(RING32, k, "negpass").ands for k in range(32)] == [64 - k for k in range(32)]
    assert [window_sign(n).ands for n in range(2, 33)] == [n - 1 for n in range(2, 33)]


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("shift", [0, 1, 8, 20])
def test_delphi_relu(modulus, shift):
    x_s, x_c = pairs(modulus)
    y_c = modulus.uniform(Prg(b"output shares..."), x_s.shape)
    y_c[:3] = 0, 1, modulus.value - 1
    bits = modulus.bits
    evaluator = np.concatenate([to_bits(x_c, bits), to_bits(modulus.neg(y_c), bits)])
    y_s = run(delphi_relu(modulus, shift), to_bits(x_s, bits), none(x_s), evaluator)
    x = modulus.add(x_s, x_c).astype(np.int64)
    assert ((y_s + y_c) % modulus.value == relu_of(x, modulus) >> shift).all()
    assert (y_s < modulus.value).all()


@pytest.mark.parametrize("modulus", MODULI)
def test_exact_sign(modulus):
    x_s, x_c = pairs(modulus)
    r = modulus.uniform(Prg(b"the garbler's r."), x_s.shape)
    r[:3] = 0, 1, modulus.value - 1
    bits = modulus.bits
    v_c = run(exact_sign(modulus), to_bits(x_s, bits), share_choices(r, modulus), to_bits(x_c, bits))
    x = modulus.add(x_s, x_c).astype(np.int64)
    assert ((v_c + r) % modulus.value == (x < modulus.value // 2)).all()
    assert (v_c < modulus.value).all()


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("k", [0, 12, 17, 30])
@pytest.mark.parametrize("mode", ["poszero", "negpass"])
def test_stochastic_sign(modulus, k, mode):
    x_s, x_c = pairs(modulus)
    x_s[:40] = modulus.neg(x_c[:40])  # equal indices, where the two modes differ
    r = modulus.uniform(Prg(b"the garbler's r."), x_s.shape)
    t, width = modulus.neg(x_c), modulus.bits - k
    a, b = x_s >> np.uint32(k), t >> np.uint32(k)
    v_c = run(
        stochastic_sign(modulus, k, mode), to_bits(a, width), share_choices(r, modulus), to_bits(b, width)
    )
    expected = a > b if mode == "poszero" else a >= b
    assert ((v_c + r) % modulus.value == expected).all()


@pytest.mark.parametrize("bits", [2, 6, 13])
def test_window_sign(bits):
    prg = Prg(b"a window........")
    a, t = prg.below(1 << bits, 500), prg.below(1 << bits, 500)
    v = run(window_sign(bits), to_bits(a, bits), none(a), to_bits(t, bits))
    assert (v == 1 - ((a.astype(np.int64) + t) % (1 << bits) >> (bits - 1))).all()


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ParameterError, match="32 truncated bits; the range is 0 to 31"):
        stochastic_sign(RING32, 32, "poszero")
    with pytest.raises(ParameterError, match="31 truncated bits; the range is 0 to 30"):
        stochastic_sign(PRIME31, 31, "poszero")
    with pytest.raises(ParameterError, match="unknown fault mode 'balanced'"):
        stochastic_sign(PRIME31, 3, "balanced")
    for shift in (-1, 30):
        with pytest.raises(ParameterError, match="the range is 0 to 29"):
            delphi_relu(PRIME31, shift)
    for bits in (1, 33):
        with pytest.raises(ParameterError, match="2 to 32 bits"):
            window_sign(bits)
