"""The generator against NIST's vectors and another AES, and the distribution of what is drawn from it."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from circa.protocols.errors import ParameterError
from circa.protocols.prg import Prg

SEED = bytes(range(16))


def test_aes_is_nists():
    """SP 800-38A, F.1.1 (AES-128, ECB): the block cipher that everything here stands on."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    block = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    out = Cipher(algorithms.AES128(key), modes.ECB()).encryptor().update(block)
    assert out.hex() == "3ad77bb40d7a3660a89ecaf32466ef97"


def test_the_stream_is_aes_of_a_big_endian_counter():
    """Block i is AES_seed(i), also across the carry out of the counter's last byte."""
    blocks = Prg(SEED).bytes(16 * 300).reshape(300, 16)
    aes = Cipher(algorithms.AES128(SEED), modes.ECB()).encryptor()
    for i in (0, 1, 255, 256, 299):
        assert blocks[i].tobytes() == aes.update(i.to_bytes(16, "big"))


def test_known_answer():
    """AES-128 of the zero block under the zero key, from NIST's AESAVS: how the zero seed's stream starts."""
    assert Prg(bytes(16)).bytes(16).tobytes().hex() == "66e94bd4ef8a2c3b884cfa59ca342b2e"


@given(st.lists(st.integers(0, 200), min_size=1, max_size=8))
def test_reads_continue_the_stream(sizes):
    prg, whole = Prg(SEED), Prg(SEED).bytes(sum(sizes))
    parts = [prg.bytes(size) for size in sizes]
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_long_read_is_the_same_stream():
    size = (1 << 17) + 13
    long = Prg(SEED).bytes(size)
    expected = Cipher(algorithms.AES128(SEED), modes.CTR(bytes(16))).encryptor().update(bytes(size))
    assert long.tobytes() == expected
    long[0] ^= 1  # writable, and nobody else's
    assert Prg(SEED).bytes(1)[0] == expected[0]


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_seed_has_16_bytes(size):
    with pytest.raises(ParameterError, match=f"16 bytes, got {size}"):
        Prg(bytes(size))


def test_forks_and_os_seeds_differ():
    prg = Prg(SEED)
    a, b = prg.fork(), prg.fork()
    streams = [p.bytes(32).tobytes() for p in (a, b, prg, Prg(SEED), Prg.from_os(), Prg.from_os())]
    assert len(set(streams)) == len(streams)


def test_words_and_blocks_are_the_stream():
    raw = Prg(SEED).bytes(96)
    assert np.array_equal(Prg(SEED).uint32((4, 6)), raw.view(np.uint32).reshape(4, 6))
    assert np.array_equal(Prg(SEED).uint64((2, 6)), raw.view(np.uint64).reshape(2, 6))
    assert np.array_equal(Prg(SEED).blocks(6), raw.view(np.uint64).reshape(6, 2))


def test_bits_are_the_stream_low_bit_first():
    raw = Prg(SEED).bytes(4)
    assert np.array_equal(Prg(SEED).bits((5, 5)).reshape(-1), np.unpackbits(raw, bitorder="little")[:25])


@pytest.mark.parametrize(("bits", "used"), [(1, 1), (8, 1), (9, 2), (16, 2)])
def test_bits_use_whole_bytes_and_no_more(bits, used):
    prg = Prg(SEED)
    prg.bits(bits)
    assert prg.bytes(1)[0] == Prg(SEED).bytes(used + 1)[used]


@given(st.one_of(st.integers(1, 1 << 32), st.sampled_from([2138816513, 1, 1 << 32])), st.integers(0, 50))
def test_below_stays_below(bound, count):
    draws = Prg(SEED).below(bound, (count, 2))
    assert draws.shape == (count, 2)
    assert draws.dtype == np.uint32
    assert count == 0 or int(draws.max()) < bound


@pytest.mark.parametrize("bound", [3, 6, 127, 2138816513])
def test_below_is_uniform(bound):
    """Chi-square over at most 16 cells: 58 is above the 1e-6 quantile for 15 degrees of freedom."""
    draws = Prg(SEED).below(bound, 1 << 16).astype(np.int64)
    cells = min(bound, 16)
    edges = np.arange(cells + 1) * bound // cells
    counts = np.histogram(draws, bins=[*edges[:-1], bound])[0]
    expected = (1 << 16) * np.diff(edges) / bound
    assert np.sum((counts - expected) ** 2 / expected) < 58.0


@pytest.mark.parametrize("bound", [0, -1, (1 << 32) + 1])
def test_below_refuses_a_bound_outside_32_bits(bound):
    with pytest.raises(ParameterError, match="outside"):
        Prg(SEED).below(bound, 1)
