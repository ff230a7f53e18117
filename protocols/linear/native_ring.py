"""The rings of the native kernels (`native/rlwe*.cpp`) for our parameter sets, with SEAL's primes."""

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from .. import kernels
from .parameters import ParameterSet
from .seal import context

if TYPE_CHECKING:
    from .._kernels import Ring

__all__ = ["native_ring", "root_of_unity"]


@lru_cache(maxsize=8)
def native_ring(parameters: ParameterSet, modulus: int) -> "Ring":
    """The ring for a parameter set and plaintext modulus; safe to share by threads. Needs the kernels."""
    fast = kernels.native()
    assert fast is not None
    primes = context(parameters, modulus).primes
    product = math.prod(primes)
    made: Ring = fast.Ring(
        parameters.degree,
        list(primes),
        [root_of_unity(q, parameters.degree) for q in primes],
        modulus,
        product % modulus,
        [product // modulus % q for q in primes],
    )
    return made


def root_of_unity(q: int, degree: int) -> int:
    """A primitive root of unity of order 2N modulo the prime q, q = 1 modulo 2N."""
    powers = (pow(base, (q - 1) // (2 * degree), q) for base in range(2, q))
    return next(root for root in powers if pow(root, degree, q) == q - 1)
