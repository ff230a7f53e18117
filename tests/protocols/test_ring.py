"""The ring kernels against Python integers, at every level that this processor has."""

import math
import sys
import threading

import numpy as np
import pytest
from rings import SETS, interpolate, order, ring, roots

from circa.protocols import kernels
from circa.protocols.packing import pack
from circa.protocols.prg import Prg

NATIVE = kernels.native()
LEVELS = NATIVE.levels() if NATIVE else []
if NATIVE is None:
    pytest.skip("no native kernels on this machine", allow_module_level=True)

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


def product(a, b, q):
    """a b modulo x^N + 1 and q."""
    n = len(a)
    whole = np.zeros(2 * n, object)
    for i, x in enumerate(a):
        whole[i : i + n] += int(x) * b.astype(object)
    return (whole[:n] - whole[n:]) % q


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


def test_the_ring_works_beside_other_threads():
    """The GIL is dropped: a thread that waits for it gets it in a kernel, and could not get it elsewhere."""
    made, go, ran = ring(1024, SETS["60"]), threading.Event(), []

    def other() -> None:
        go.wait()
        ran.append(True)

    thread = threading.Thread(target=other)
    thread.start()
    values, interval = np.ones(1024, np.int64), sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        go.set()
        for _ in range(10_000):
            made.transform(values)
            if ran:
                break
        inside = list(ran)
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert inside
