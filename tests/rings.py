"""Small rings for the tests of the ring kernels, and the transform by its definition."""

import math

import numpy as np

from circa.protocols import kernels

# primes that are 1 modulo 2^14, the largest or second largest of the bits that the parameter sets use
SETS = {
    "46, 60": (70368743587841, 1152921504606830593),
    "50, 55, 55": (1125899906629633, 36028797018652673, 36028797017571329),
    "60": (1152921504606830593,),
}


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
    return kernels.native().Ring(degree, list(primes), roots(primes, degree), modulus, q % modulus, delta)


def order(degree):
    """The exponent of psi at each entry of a transform: bit-reversed, its blocks of 64 transposed."""
    width = degree.bit_length() - 1
    reverse = [int(format(i, f"0{width}b")[::-1], 2) for i in range(degree)]
    return 2 * np.array(reverse).reshape(-1, 8, 8).swapaxes(1, 2).reshape(-1) + 1


def interpolate(values, psi, q):
    """The polynomial of given values at the roots: their sum with inverse powers, over N."""
    n = len(values)
    powers = order(n)
    inverse = [pow(psi, -i, q) for i in range(2 * n)]
    table = np.array(inverse, object)
    exponents = np.arange(n)[:, None] * powers[None, :] % (2 * n)
    return table[exponents] @ values % q * pow(n, -1, q) % q
