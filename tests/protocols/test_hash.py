"""H(x, j) against its formula in plain integers, and against a value computed with OpenSSL's AES alone."""

import hashlib

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from circa.protocols.hash import FIXED_KEY, sigma, tccr, tccr_numpy

WORD = (1 << 64) - 1
words = st.integers(0, WORD)


def pi(block: bytes) -> bytes:
    return Cipher(algorithms.AES128(FIXED_KEY), modes.ECB()).encryptor().update(block)


def formula(low: int, high: int, tweak: int) -> tuple[int, int]:
    """[GKWY20]: sigma(x) = (x_hi ^ x_lo) || x_hi, then MMO; one block, no NumPy."""
    s = (((high ^ low) << 64) | high) ^ (tweak & WORD)
    h = int.from_bytes(pi(s.to_bytes(16, "little")), "little") ^ s
    return h & WORD, h >> 64


@given(words, words, st.integers(0, WORD - 3))
def test_hash_is_the_formula(low, high, tweak):
    x = np.array([[low, high]] * 3, np.uint64)
    expected = [formula(low, high, tweak + i) for i in range(3)]
    assert tccr(x, tweak).tolist() == [list(h) for h in expected]
    assert tccr_numpy(x, tweak).tolist() == [list(h) for h in expected]


def test_known_answer():
    """Recorded from `formula`, which uses nothing of ours; a change of it changes what crosses the wire."""
    x = np.arange(2 * 5000, dtype=np.uint64).reshape(-1, 2)
    digest = hashlib.sha256(tccr(x, 1 << 48).tobytes()).hexdigest()
    assert digest == "1999b06bb1ba5d945d38070808d37c221d3fa3b28d059590460c7d44db545b29"


@given(words, words, words, words)
def test_sigma_is_linear_and_an_orthomorphism(a, b, c, d):
    """sigma and x -> sigma(x) ^ x are both invertible: what the proof of [GKWY20] asks for."""
    x, y = np.array([[a, b]], np.uint64), np.array([[c, d]], np.uint64)
    assert np.array_equal(sigma(x ^ y), sigma(x) ^ sigma(y))
    for f in (sigma, lambda v: sigma(v) ^ v):
        assert np.array_equal(f(x), f(y)) == np.array_equal(x, y)


@pytest.mark.parametrize("n", [0, 1, 2, 4095, 4096, 4097, 8193])
def test_chunks_do_not_show(n):
    """A block's hash depends on its own tweak only, wherever a chunk ends."""
    x = np.full((n, 2), 7, np.uint64)
    whole = tccr(x, 100)
    assert whole.shape == (n, 2)
    for i in {0, n // 2, n - 1} if n else ():
        assert tuple(whole[i].tolist()) == formula(7, 7, 100 + i)


def test_the_input_is_not_changed_and_views_work():
    x = np.arange(64, dtype=np.uint64).reshape(-1, 2)
    before = x.copy()
    assert np.array_equal(tccr(x[::2], 0), tccr(x[::2].copy(), 0))
    assert np.array_equal(x, before)
