"""The sign test by a table of one-time-padded bits."""

import itertools

import numpy as np
import pytest
from otpairs import ot_setups
from relus import dealt_cots

from circa.protocols.ot.softspoken import DEFAULT_K
from circa.protocols.prg import Prg
from circa.protocols.sign import table
from circa.protocols.sign.window import Window, drelu
from circa.protocols.steps import complete
from harness import run_pair

BITS = range(2, 9)


def deal(setups, n, b, t):
    """Both parties' material for b of shape (J, count) and indices t, and what the offline phase moved."""
    left, right = setups
    return run_pair(
        lambda ch: complete(table.prepare_sender(left(ch), n, b)),
        lambda ch: complete(table.prepare_receiver(right(ch), n, t, b.shape[0])),
    )


def as_bits(n, words):
    """(count, N) bits of the words (count, W)."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")[:, : 1 << n]


@pytest.mark.parametrize("n", BITS)
def test_patterns(n):
    N = 1 << n
    bits = as_bits(n, table.patterns(n))
    assert bits.shape == (N * N, N)
    for P, a in itertools.product({0, 1, 3, N // 2, N - 1}, {0, 1, 2, N // 2, N - 1}):
        for i in range(N):
            assert bits[N * P + a, i] == ((a + i) % N < P)


def test_pattern_rows():
    window = Window(6, (5, 64), positive=((1, 40), (63, 2)))
    x_s = np.random.default_rng(0).integers(0, 1 << 32, (3, 2, 7), dtype=np.uint32)
    for knot in (0, 1):
        rows = table.pattern_rows(window, x_s, knot).reshape(x_s.shape)
        for channel, P in enumerate(window.positive[knot]):
            np.testing.assert_array_equal(rows[:, channel], window.index_s(x_s)[:, channel] + 64 * P)


@pytest.mark.parametrize(
    ("kind", "n", "J"), [*itertools.product(["ideal"], BITS, [1, 3]), ("softspoken", 6, 1)]
)
def test_shares_of_the_sign(kind, n, J):
    """v ^ b is DReLU~ of (a, t): for every pair of indices, both values of b."""
    N = 1 << n
    rows = list(itertools.product(range(N), range(N), (0, 1))) if n < 6 else None
    rng = np.random.default_rng(n)
    pairs = np.array(rows) if rows else rng.integers(0, N, (4096, 3))
    a, t = pairs[:, 0].astype(np.uint32), pairs[:, 1].astype(np.uint8)
    b = np.stack([(pairs[:, 2] & 1).astype(np.uint8)] + [Prg(b"b" * 16).bits(len(t)) for _ in range(J - 1)])
    sent, received, transcript = deal(ot_setups(kind), n, b, t)
    assert not transcript.left_sent or kind == "softspoken"
    for j, P in enumerate([N // 2, 1, N - 1][:J]):
        a_j = (a + j) % N
        E = table.encrypt(n, N * P + a_j, sent.tables[j])
        v = table.decrypt(n, E, received.index, received.masks[j])
        assert v.dtype == np.uint8
        np.testing.assert_array_equal(v ^ b[j], drelu(a_j, t, n, P))


@pytest.mark.parametrize("n", [2, 6, 7])
def test_offline_bytes(n):
    t = np.arange(1000, dtype=np.uint8) % (1 << n)
    _, _, transcript = deal(dealt_cots(), n, np.zeros((2, 1000), np.uint8), t)
    assert transcript.left.bytes_sent == 0
    assert transcript.right.bytes_sent == table.offline_bytes(n, 1000, DEFAULT_K)


@pytest.mark.parametrize("n", BITS)
def test_other_rows_look_uniform(n):
    """The rows that the receiver cannot open, for one index and one sign: each half ones, no two alike."""
    count, N = 4096, 1 << n
    t = np.full(count, 1, np.uint8)
    sent, _, _ = deal(ot_setups("ideal"), n, np.zeros((1, count), np.uint8), t)
    E = as_bits(n, table.encrypt(n, np.full(count, N * N // 2 + 3 % N, np.uint32), sent.tables[0]))
    assert E.shape == (count, N)
    others = np.delete(E, 1, axis=1).astype(np.float64)
    ones = others.sum(axis=0)
    assert (np.abs(ones - count / 2) < 6 * np.sqrt(count / 4)).all()
    signs = 1 - 2 * others
    products = signs.T @ signs
    np.fill_diagonal(products, 0)
    assert np.abs(products).max() < 6 * np.sqrt(count)


@pytest.mark.parametrize("n", [3, 6])
def test_opened_row_hides_the_sign(n):
    """Row t with b uniform: half ones, whichever the sign."""
    count, N = 1 << 14, 1 << n
    t = np.zeros(count, np.uint8)
    for row in (N * N // 2, N * N // 2 + N // 2, N * (N - 1), N):
        b = Prg(b"uniform choice b").bits((1, count))
        sent, received, _ = deal(ot_setups("ideal"), n, b, t)
        v = table.decrypt(
            n, table.encrypt(n, np.full(count, row, np.uint32), sent.tables[0]), t, received.masks[0]
        )
        assert abs(int(v.sum()) - count / 2) < 6 * np.sqrt(count / 4)


def test_patterns_cannot_be_overwritten():
    with pytest.raises(ValueError, match="read-only"):
        table.patterns(6)[0] = 0
