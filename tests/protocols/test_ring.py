"""The ring kernels against Python integers, at every level that this processor has."""

import hashlib
import math
import struct

import numpy as np
import pytest

from circa.protocols import kernels
from circa.protocols.packing import pack
from circa.protocols.prg import Prg

NATIVE = kernels.native()
LEVELS = NATIVE.levels() if NATIVE else []
if NATIVE is None:
    pytest.skip("no native kernels on this machine", allow_module_level=True)

# primes that are 1 modulo 2^14, the largest or second largest of the bits that the parameter sets use
SETS = {
    "46, 60": (70368743587841, 1152921504606830593),
    "50, 55, 55": (1125899906629633, 36028797018652673, 36028797017571329),
    "60": (1152921504606830593,),
}
LARGE_REJECTION = 1085102592571174913  # 2^64 modulo it is nearly itself
MODULI = [1 << 32, 2138816513, 3]


@pytest.fixture(params=LEVELS)
def level(request):
    """Runs a test with the kernels of each level."""
    best = NATIVE.level()
    NATIVE.select(request.param)
    yield request.param
    NATIVE.select(best)


@pytest.fixture(params=[64, 128, 1024])
def degree(request):
    return request.param


@pytest.fixture(params=SETS.values(), ids=SETS)
def primes(request):
    return request.param


def roots(primes, degree):
    """A primitive root of unity of order 2N for each prime."""
    powers = [[pow(base, (q - 1) // (2 * degree), q) for base in range(2, 60)] for q in primes]
    return [
        next(r for r in candidates if pow(r, degree, q) == q - 1)
        for q, candidates in zip(primes, powers, strict=True)
    ]


def ring(degree, primes, modulus=1 << 32):
    q = math.prod(primes)
    delta = [q // modulus % prime for prime in primes]
    return NATIVE.Ring(degree, list(primes), roots(primes, degree), modulus, q % modulus, delta)


def product(a, b, q):
    """a b modulo x^N + 1 and q."""
    n = len(a)
    whole = np.zeros(2 * n, object)
    for i, x in enumerate(a):
        whole[i : i + n] += int(x) * b.astype(object)
    return (whole[:n] - whole[n:]) % q


def order(degree):
    """The exponent of psi at each entry of a transform: bit-reversed, its blocks of 64 transposed."""
    width = degree.bit_length() - 1
    reverse = [int(format(i, f"0{width}b")[::-1], 2) for i in range(degree)]
    return 2 * np.array(reverse).reshape(-1, 8, 8).swapaxes(1, 2).reshape(-1) + 1


def small(prg, degree):
    values = prg.below(1 << 17, degree).astype(np.int64) - (1 << 16)
    values[:4] = -(1 << 30), (1 << 30) - 1, 0, -1
    return values


@pytest.mark.parametrize("values", ["one", "x", "last", "random"])
def test_a_transform_evaluates_at_the_roots(level, degree, primes, values):
    chosen = np.zeros(degree, np.int64)
    if values == "random":
        chosen = small(Prg(bytes(16)), degree)
    else:
        chosen[{"one": 0, "x": 1, "last": degree - 1}[values]] = 1 if values == "one" else -1
    out = ring(degree, primes).transform(chosen)
    assert out.shape == (len(primes), degree)
    powers = order(degree)
    for q, psi, row in zip(primes, roots(primes, degree), out, strict=True):
        for at in (0, 1, 7, 8, 9, 63, degree // 2, degree - 1):
            point = pow(psi, int(powers[at]), q)
            expected = sum(int(v) * pow(point, i, q) for i, v in enumerate(chosen) if v) % q
            assert int(row[at]) == expected


class Case:
    """The inputs of one response and, by Python integers, its bytes."""

    def __init__(self, degree, primes, modulus, pairs, count, extreme=False, seed=b"ring test seed.."):
        prg = Prg(seed)
        rng = np.random.default_rng(3)
        self.degree, self.primes, self.modulus = degree, primes, modulus
        self.factors = [small(prg, degree) for _ in range(pairs)]
        shape = 2, len(primes), degree
        tops = np.array(primes, np.uint64)[None, :, None]
        self.ciphertexts = [prg.uint64(shape) % tops for _ in range(pairs)]
        self.error = prg.below(43, degree).astype(np.int64) - 21
        self.flood = prg.uint64((len(primes), count)) % tops[0]
        self.message = prg.below(modulus, count)
        self.positions = np.sort(rng.choice(degree, count, replace=False)).astype(np.int64)
        if extreme:
            for ciphertext in self.ciphertexts:
                ciphertext[:] = tops - np.uint64(1)
            for factor in self.factors:
                factor[:] = -1
            self.flood[:] = tops[0] - np.uint64(1)
            self.message[:] = modulus - 1
            self.error[:] = -21

    def native(self):
        made = ring(self.degree, self.primes, self.modulus)
        factors = [made.transform(factor) for factor in self.factors]
        width = self.primes[0].bit_length()
        size = sum((n * width + 7) // 8 for n in (self.degree, self.positions.size))
        out = np.empty(size, np.uint8)
        # what the kernel calls a transformed ciphertext: any residues are
        arrays = self.error, self.flood, self.message, self.positions, out
        made.respond(self.ciphertexts, factors, *arrays)
        return out.tobytes(), factors

    def expected(self, factors):
        """The same from the transformed factors: sums, the inverse by its definition, SEAL's rounding."""
        q, n = math.prod(self.primes), self.degree
        rows = np.zeros((2, len(self.primes), n), object)
        for i, prime in enumerate(self.primes):
            sums = np.zeros((2, n), object)
            for ciphertext, factor in zip(self.ciphertexts, factors, strict=True):
                sums += ciphertext[:, i].astype(object) * factor[i].astype(object)
            for k in range(2):
                rows[k, i] = interpolate(sums[k] % prime, roots(self.primes, n)[i], prime)
            rows[1, i] = (rows[1, i] + self.error) % prime
            m = self.message.astype(object)
            scaled = q // self.modulus * m + (q % self.modulus * m + (self.modulus + 1) // 2) // self.modulus
            rows[0, i, self.positions] = (rows[0, i, self.positions] + self.flood[i] + scaled) % prime
        for last in range(len(self.primes) - 1, 0, -1):
            dropped = self.primes[last]
            rounded = (rows[:, last] + dropped // 2) % dropped - dropped // 2
            for i, prime in enumerate(self.primes[:last]):
                rows[:, i] = (rows[:, i] - rounded) * pow(dropped, -1, prime) % prime
        c0, c1 = rows[0, 0][self.positions].astype(np.uint64), rows[1, 0].astype(np.uint64)
        width = self.primes[0].bit_length()
        return pack(c1, width).tobytes() + pack(c0, width).tobytes()


def interpolate(values, psi, q):
    """The polynomial of given values at the roots: their sum with inverse powers, over N."""
    n = len(values)
    powers = order(n)
    inverse = [pow(psi, -i, q) for i in range(2 * n)]
    table = np.array(inverse, object)
    exponents = np.arange(n)[:, None] * powers[None, :] % (2 * n)
    return table[exponents] @ values % q * pow(n, -1, q) % q


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize(("pairs", "count"), [(1, 0), (1, 1), (6, 64), (7, 5), (8, 33), (15, 9)])
def test_a_response(level, primes, modulus, pairs, count):
    case = Case(64, primes, modulus, pairs, count)
    ours, factors = case.native()
    assert ours == case.expected(factors)


@pytest.mark.parametrize("pairs", [0, 14, 127, 128, 129, 300])
def test_many_products_at_their_largest(level, primes, pairs):
    """Every operand is q - 1: sums are reduced before they overflow."""
    case = Case(64, primes, 1 << 32, pairs, 64, extreme=True)
    for factor in case.factors[1:]:
        factor[:] = case.factors[0]
    ours, factors = case.native()
    for factor in factors:
        factor[:] = np.array(primes, np.uint64)[:, None] - np.uint64(1)
    made = ring(64, primes)
    out = np.empty(len(ours), np.uint8)
    made.respond(case.ciphertexts, factors, case.error, case.flood, case.message, case.positions, out)
    assert out.tobytes() == case.expected(factors)


def test_a_response_of_a_larger_ring(level, primes):
    case = Case(256, primes, 1 << 32, 3, 100)
    ours, factors = case.native()
    assert ours == case.expected(factors)


def test_products_are_those_of_polynomials(level):
    """Through a request: transform, multiply, back, against the product by its definition."""
    degree, primes = 128, SETS["60"]
    made, prg = ring(degree, primes, 2), Prg(bytes(16))
    c0, factor = prg.uint64(degree) % np.uint64(primes[0]), small(prg, degree)
    message = np.concatenate([pack(c0, 60), prg.bytes(64)])
    request, transformed = made.expand_request(message), made.transform(factor)
    assert request.shape == (2, 1, degree)
    none, positions = np.zeros(degree, np.int64), np.arange(degree)
    out = np.empty(2 * degree * 60 // 8, np.uint8)
    zeros = np.zeros((1, degree), np.uint64), np.zeros(degree, np.uint32)
    made.respond([request], [transformed], none, *zeros, positions, out)
    expected = pack(product(c0, factor, primes[0]).astype(np.uint64), 60)
    assert out[expected.size :].tobytes() == expected.tobytes()


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


def zeros(*shape, dtype=np.uint64):
    return np.zeros(shape, dtype)


FIT = {
    "ciphertexts": [zeros(2, 2, 64)],
    "factors": [zeros(2, 64)],
    "error": zeros(64, dtype=np.int64),
    "flood": zeros(2, 3),
    "message": zeros(3, dtype=np.uint32),
    "positions": np.arange(3),
    "out": zeros(64 * 46 // 8 + (3 * 46 + 7) // 8, dtype=np.uint8),
}
UNFIT = {
    "no ciphertext": {"ciphertexts": []},
    "half a ciphertext": {"ciphertexts": [zeros(2, 1, 64)]},
    "a short ciphertext": {"ciphertexts": [zeros(2, 2, 63)]},
    "a short factor": {"factors": [zeros(2, 63)]},
    "a factor of one prime": {"factors": [zeros(1, 64)]},
    "a short error": {"error": zeros(63, dtype=np.int64)},
    "a short flood": {"flood": zeros(2, 2)},
    "a flood of one prime": {"flood": zeros(1, 3)},
    "a short message": {"message": zeros(2, dtype=np.uint32)},
    "a position beyond": {"positions": np.array([0, 1, 64])},
    "a negative position": {"positions": np.array([0, 1, -1])},
    "a long output": {"out": zeros(64 * 46 // 8 + (3 * 46 + 7) // 8 + 1, dtype=np.uint8)},
}


@pytest.mark.parametrize("change", UNFIT.values(), ids=UNFIT)
def test_arrays_that_do_not_fit_are_refused(change):
    made = ring(64, SETS["46, 60"])
    made.respond(**FIT)
    with pytest.raises((ValueError, TypeError)):
        made.respond(**FIT | change)


def test_values_out_of_range_are_refused():
    made = ring(64, SETS["46, 60"], 2138816513)
    with pytest.raises(ValueError, match="reduced"):
        made.respond(**FIT | {"message": np.full(3, 2138816513, np.uint32)})
    for value in (1 << 30, -(1 << 30) - 1, 1 << 62, -(1 << 63)):
        with pytest.raises(ValueError, match=r"2\^30"):
            made.transform(np.full(64, value))
    for size in (63, 65):
        with pytest.raises(ValueError, match="fit"):
            made.transform(zeros(size, dtype=np.int64))
        with pytest.raises(ValueError, match="fit"):
            made.expand_request(zeros(64 * 106 // 8 + size, dtype=np.uint8))


@pytest.mark.parametrize(
    "change",
    [
        {"degree": 32},
        {"degree": 96},
        {"primes": []},
        {"primes": [SETS["60"][0] * 2 - 1]},
        {"primes": [97]},
        {"roots": []},
        {"delta": [1 << 60]},
        {"modulus": (1 << 32) + 1},
        {"modulus": 1},
        {"remainder": 1 << 32},
    ],
    ids=str,
)
def test_rings_that_the_kernels_do_not_compute_are_refused(change):
    q = SETS["60"][0]
    fit = {"degree": 64, "primes": [q], "roots": [3], "modulus": 1 << 32, "remainder": 0, "delta": [0]}
    NATIVE.Ring(**fit)
    with pytest.raises(ValueError, match=r"degree|prime|modulus"):
        NATIVE.Ring(**fit | change)
