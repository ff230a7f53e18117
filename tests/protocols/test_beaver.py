"""Beaver triples from COTs, and the multiplication: exact for both moduli, each triple once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otpairs import ot_setups
from wire import check_baseline

from circa.protocols import beaver
from circa.protocols.beaver import (
    BeaverTriple,
    make_triples,
    multiply,
    triple_correction_bytes,
    triple_rounds,
)
from circa.protocols.errors import ParameterError
from circa.protocols.ot import softspoken
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31, RING32, residue_bytes, share
from circa.protocols.steps import complete
from harness import run_pair

MODULI = pytest.mark.parametrize("modulus", [RING32, PRIME31], ids=["ring", "prime"])


def triples(ot, modulus, shape):
    seeds = Prg(b"P0 triples seed."), Prg(b"P1 triples seed.")
    return run_pair(
        *(
            lambda ch, i=i: complete(make_triples(ch, ot[i](ch), i, modulus, shape, seeds[i]))
            for i in (0, 1)
        )
    )  # fmt: skip


def total(modulus, p0, p1):
    return modulus.add(p0, p1).astype(object)


@MODULI
def test_triples(modulus, ot):
    t0, t1, _ = triples(ot, modulus, (7, 3))
    a, b, c = (total(modulus, getattr(t0, name), getattr(t1, name)) for name in "abc")
    assert c.shape == (7, 3)
    assert (a * b % modulus.value == c).all()
    for t in (t0, t1):
        assert len(np.unique(np.stack([t.a, t.b, t.c]))) == 63
        assert max(t.a.max(), t.b.max(), t.c.max()) < modulus.value


def test_triples_across_chunks(monkeypatch):
    monkeypatch.setattr(beaver, "_CHUNK", 4)
    t0, t1, wire = triples(ot_setups("ideal"), PRIME31, (10,))
    a, b, c = (total(PRIME31, getattr(t0, name), getattr(t1, name)) for name in "abc")
    assert (a * b % PRIME31.value == c).all()
    assert wire.left.bytes_sent == wire.right.bytes_sent == triple_correction_bytes(10, PRIME31)
    assert wire.left.messages_sent == 3


@MODULI
def test_cost_of_triples(modulus):
    count, bits = 50, modulus.bits
    _, _, wire = triples(ot_setups("softspoken"), modulus, (count,))
    setup = softspoken.SENDER_SETUP_BYTES + softspoken.RECEIVER_SETUP_BYTES
    setup += softspoken.correction_bytes(softspoken.DEFAULT_K)
    corrections = triple_correction_bytes(count, modulus)
    assert corrections == -(-count * bits * bits // 8)
    assert (
        wire.left.bytes_sent
        == wire.right.bytes_sent
        == setup + softspoken.extension_bytes(bits * count) + corrections
    )
    assert wire.rounds == 2 + triple_rounds(count) == 3


@MODULI
def test_multiply(modulus):
    extremes = np.array([0, 1, modulus.value // 2, modulus.value - 1], np.uint32)
    x, y = (a.reshape(-1) for a in np.meshgrid(extremes, extremes))
    x, y = (np.concatenate([a, modulus.uniform(Prg(bytes([i]) * 16), 100)]) for i, a in enumerate((x, y)))
    (x0, x1), (y0, y1) = (
        share(x, Prg(b"x shares' seed 0"), modulus),
        share(y, Prg(b"y shares' seed 0"), modulus),
    )
    t0, t1, _ = triples(ot_setups("ideal"), modulus, x.shape)
    z0, z1, wire = run_pair(lambda ch: multiply(ch, 0, x0, y0, t0), lambda ch: multiply(ch, 1, x1, y1, t1))
    assert (total(modulus, z0, z1) == x.astype(object) * y.astype(object) % modulus.value).all()
    assert wire.left.bytes_sent == wire.right.bytes_sent == residue_bytes(2 * x.size, modulus)
    assert wire.rounds == 1


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from([RING32, PRIME31]),
    st.binary(min_size=16, max_size=16),
)
def test_multiply_any_shares(x, y, modulus, seed):
    prg, v = Prg(seed), modulus.value
    a0, b0, c0, a1, b1, x0, y0 = (modulus.uniform(prg, 1) for _ in range(7))
    c1 = modulus.sub(modulus.mul(modulus.add(a0, a1), modulus.add(b0, b1)), c0)
    x1, y1 = (modulus.sub(np.array([w % v], np.uint32), w0) for w, w0 in ((x, x0), (y, y0)))
    z0, z1, _ = run_pair(
        lambda ch: multiply(ch, 0, x0, y0, BeaverTriple(modulus, a0, b0, c0)),
        lambda ch: multiply(ch, 1, x1, y1, BeaverTriple(modulus, a1, b1, c1)),
    )
    assert int(modulus.add(z0, z1)[0]) == x * y % v


def fresh(n=4):
    return BeaverTriple(RING32, *(np.arange(k, k + n, dtype=np.uint32) for k in (0, 10, 20)))


def test_a_triple_is_used_once():
    t, x = fresh(), np.zeros(4, np.uint32)
    run_pair(lambda ch: multiply(ch, 0, x, x, t), lambda ch: multiply(ch, 1, x, x, fresh()))
    with pytest.raises(ParameterError, match="used"):
        run_pair(lambda ch: multiply(ch, 0, x, x, t), lambda ch: multiply(ch, 1, x, x, fresh()))
    with pytest.raises(ParameterError, match="used"):
        t.take(1)


def test_take_hands_out_each_triple_once():
    t = fresh()
    first, second = t.take(1), t.take(3)
    assert first.a.tolist() == [0]
    assert second.a.tolist() == [1, 2, 3]
    assert second.b.tolist() == [11, 12, 13]
    assert second.c.tolist() == [21, 22, 23]
    with pytest.raises(ParameterError, match="0 left"):
        t.take(1)


def test_shapes_must_agree():
    x = np.zeros(3, np.uint32)
    with pytest.raises(ParameterError):
        multiply(None, 0, x, x, fresh())


@pytest.mark.parametrize("secret", [0, 2**32 - 1])
def test_factors_do_not_show(secret):
    """What P0 sends is masked by a and b, whatever its factors: chi-square of its bytes, p > 1e-6."""
    n = 1 << 12
    prg = Prg(b"seed of the mask")
    t0, t1 = (BeaverTriple(RING32, *(RING32.uniform(prg, n) for _ in range(3))) for _ in range(2))
    x, zero = np.full(n, secret, np.uint32), np.zeros(n, np.uint32)
    wire = run_pair(lambda ch: multiply(ch, 0, x, x, t0), lambda ch: multiply(ch, 1, zero, zero, t1))[2]
    counts = np.bincount(np.frombuffer(wire.left_sent[0], np.uint8), minlength=256)
    assert ((counts - n / 32) ** 2 / (n / 32)).sum() < 384


def test_wire_baseline():
    check_baseline("beaver-triples-8", triples(ot_setups("ideal"), PRIME31, (8,))[2])
