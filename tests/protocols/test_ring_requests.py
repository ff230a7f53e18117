"""Requests by the ring kernels: seeds expand as in SEAL, bad values are refused, encryption is exact."""

import hashlib
import math
import struct

import numpy as np
import pytest
from rings import SETS, interpolate, ring, roots

from circa.protocols import kernels
from circa.protocols.packing import pack
from circa.protocols.prg import Prg

NATIVE = kernels.native()
if NATIVE is None:
    pytest.skip("no native kernels on this machine", allow_module_level=True)

LARGE_REJECTION = 1085102592571174913  # 2^64 modulo it is nearly itself


@pytest.fixture(params=NATIVE.levels())
def level(request):
    """Runs a test with the kernels of each level."""
    best = NATIVE.level()
    NATIVE.select(request.param)
    yield request.param
    NATIVE.select(best)


WORD = (1 << 64) - 1
SIGMA = [
    "0123456789abcdef",
    "ea489fd61c02b753",
    "b8c052fdae367194",
    "7931dcbe265a40f8",
    "905724afe1bc683d",
    "2c6a0b834d75fe19",
    "c51fed4a0763928b",
    "db7ec13950f4862a",
    "6fe9b308c2d714a5",
    "a2847615fb9e3cd0",
]
INITIAL = [math.isqrt(p << 128) & WORD for p in (2, 3, 5, 7, 11, 13, 17, 19)]


def blake2b_node(message, parameters):
    """BLAKE2b of one block with any parameter block (RFC 7693, 3.2), which hashlib lets nobody choose."""
    state = [a ^ b for a, b in zip(INITIAL, struct.unpack("<8Q", parameters), strict=True)]
    block = struct.unpack("<16Q", message.ljust(128, b"\0"))
    v = state + INITIAL
    v[12] ^= len(message)
    v[14] ^= WORD
    columns = [[i, 4 + i, 8 + i, 12 + i] for i in range(4)]
    diagonals = [[i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4] for i in range(4)]
    for r in range(12):
        order = [int(digit, 16) for digit in SIGMA[r % 10]]
        for g, (a, b, c, d) in enumerate(columns + diagonals):
            for x, by, other in ((order[2 * g], 32, 24), (order[2 * g + 1], 16, 63)):
                v[a] = v[a] + v[b] + block[x] & WORD
                v[d] = turned(v[d] ^ v[a], by)
                v[c] = v[c] + v[d] & WORD
                v[b] = turned(v[b] ^ v[c], other)
    return [h ^ v[i] ^ v[i + 8] for i, h in enumerate(state)]


def turned(x, by):
    return x >> by | x << 64 - by & WORD


def seal_words(seed):
    """SEAL's generator: Blake2xb keyed by the seed, over a counter, 4096 bytes at a time."""
    counter = 0
    while True:
        root = hashlib.blake2b(counter.to_bytes(8, "little"), key=seed, node_offset=4096 << 32).digest()
        for i in range(64):
            # digest of 64 bytes, no key, fanout and depth 0; leaves; number and length; depth 0, inner 64
            yield from blake2b_node(root, struct.pack("<BBBBIIIBB14x32x", 64, 0, 0, 0, 64, i, 4096, 0, 64))
        counter += 1


@pytest.mark.parametrize("fill", ["zeros", "random"])
def test_seeds_expand_by_blake2xb_and_rejection(level, fill):
    """A prime for which one word in 17 is rejected; more words than one refill gives."""
    degree, primes = 512, (LARGE_REJECTION, 70368743587841)
    seed = bytes(64) if fill == "zeros" else Prg(bytes(16)).bytes(64).tobytes()
    words = seal_words(seed)
    drawn, rejected = [[next(words) for _ in range(degree)] for _ in primes], 0
    for q, row in zip(primes, drawn, strict=True):
        for j in range(degree):
            while row[j] >= WORD - WORD % q - 1:
                row[j], rejected = next(words), rejected + 1
            row[j] %= q
    assert rejected > 10
    made, c0 = ring(degree, primes), np.zeros(degree, np.uint64)
    parts = [pack(c0, q.bit_length()) for q in primes]
    request = made.expand_request(np.concatenate([*parts, np.frombuffer(seed, np.uint8)]))
    assert not request[0].any()
    for q, psi, row, found in zip(primes, roots(primes, degree), drawn, request[1], strict=True):
        assert interpolate(found.astype(object), psi, q).tolist() == row


@pytest.mark.parametrize("at", ["first", "last"])
@pytest.mark.parametrize("which", [0, 1])
def test_coefficients_that_are_not_reduced_are_refused(level, which, at):
    degree, primes = 64, SETS["46, 60"]
    made = ring(degree, primes)
    c0 = np.full((2, degree), 5, np.uint64)
    c0[which, 0 if at == "first" else -1] = primes[which]

    def accepted():
        parts = [pack(c, q.bit_length()) for c, q in zip(c0, primes, strict=True)]
        return made.expand_request(np.concatenate([*parts, np.zeros(64, np.uint8)])) is not None

    assert not accepted()
    c0 -= np.uint64(1)
    assert accepted()


@pytest.mark.parametrize("modulus", [1 << 32, 2138816513, 3])
@pytest.mark.parametrize("name", SETS)
def test_encryption_without_a_key_is_the_scaled_message_minus_the_error(level, name, modulus):
    """q / t m, rounded as SEAL rounds, minus e modulo every prime; then the seed as it came."""
    primes, degree = SETS[name], 64
    made, q = ring(degree, primes, modulus), math.prod(primes)
    message = np.arange(degree, dtype=np.uint64) % np.uint64(modulus)
    message[-2:] = modulus - 1, modulus // 2
    error, seed = np.arange(degree) % 43 - 21, Prg(bytes(16)).bytes(64)
    out = np.empty(sum(degree * p.bit_length() // 8 for p in primes) + 64, np.uint8)
    made.encrypt(made.transform(np.zeros(degree, np.int64)), message, error, seed, out)
    expected = []
    for prime in primes:
        m = message.astype(object)
        scaled = q // modulus * m + (q % modulus * m + (modulus + 1) // 2) // modulus
        expected.append(pack(((scaled - error) % prime).astype(np.uint64), prime.bit_length()))
    np.testing.assert_array_equal(out, np.concatenate([*expected, seed]))


ENCRYPT = {
    "secret": np.zeros((2, 64), np.uint64),
    "message": np.zeros(64, np.uint64),
    "error": np.zeros(64, np.int64),
    "seed": np.zeros(64, np.uint8),
    "out": np.empty(64 * 106 // 8 + 64, np.uint8),
}
DECRYPT = {
    "secret": np.zeros((2, 64), np.uint64),
    "response": np.zeros(64 * 46 // 8 + (3 * 46 + 7) // 8, np.uint8),
    "positions": np.array([0, 5, 63]),
    "out": np.empty(3, np.uint32),
}


@pytest.mark.parametrize(("method", "fit"), [("encrypt", ENCRYPT), ("decrypt", DECRYPT)])
def test_arrays_that_do_not_fit_are_refused(method, fit):
    call = getattr(ring(64, SETS["46, 60"], 2138816513), method)
    call(**fit)
    for name, array in fit.items():
        with pytest.raises((ValueError, TypeError)):
            call(**fit | {name: array[..., :-1].copy()})
    bad = {"message": np.full(64, 2138816513, np.uint64)} if method == "encrypt" else {}
    for change in (
        (bad,) if bad else ({"positions": np.array([0, 5, 64])}, {"positions": np.array([-1, 5, 6])})
    ):
        with pytest.raises(ValueError, match=r"range|reduced"):
            call(**fit | change)
