"""The two sets of BFV parameters, public: ring degree and bits of the primes.

Security: classical 128 bits for a ternary secret. "Security Guidelines for Implementing Homomorphic
Encryption" (Bossuat et al., eprint 2024/463) allow 106 bits of modulus at N = 4096 and 214 at N = 8192.

SEAL sets the last prime aside for key switching. With B4096 it never touches a published value: everything
that leaves a party, the public key included, lives at the data primes, whose 106 bits are what the limit
concerns. SEAL counts that prime too, so its own check is off for B4096 and `__post_init__` checks instead.
"""

from dataclasses import dataclass

from ..errors import ParameterError

__all__ = ["A8192", "B4096", "SEED_BYTES", "ParameterSet", "parameter_set"]

SEED_BYTES = 64  # of the generator that expands a request's c1
_LIMIT = {4096: 106, 8192: 214}


@dataclass(frozen=True)
class ParameterSet:
    """Ring degree N, bits of the data primes q_i and of SEAL's key-switching prime."""

    name: str
    degree: int
    data_bits: tuple[int, ...]
    special_bits: int
    seal_checks: bool  # whether SEAL's own security check covers the whole chain

    def __post_init__(self) -> None:
        if sum(self.data_bits) > _LIMIT[self.degree]:
            raise ParameterError(
                f"{self.name}: {sum(self.data_bits)} bits exceed the limit {_LIMIT[self.degree]}"
            )

    @property
    def request_bytes(self) -> int:
        """A request polynomial: c0 at exactly the bits of its primes, and the seed of c1."""
        return self.degree * sum(self.data_bits) // 8 + SEED_BYTES

    @property
    def response_bytes(self) -> int:
        """The fixed part of a response polynomial: c1 modulo the first prime."""
        return self.degree * self.data_bits[0] // 8

    @property
    def ciphertext_bytes(self) -> int:
        """A request in memory: two polynomials, one 64-bit word a prime and coefficient."""
        return 2 * self.plaintext_bytes

    @property
    def plaintext_bytes(self) -> int:
        """A weight polynomial in memory, ready for products."""
        return 8 * self.degree * len(self.data_bits)


B4096 = ParameterSet("B4096", 4096, (46, 60), 17, seal_checks=False)
A8192 = ParameterSet("A8192", 8192, (50, 55, 55), 54, seal_checks=True)


def parameter_set(name: str) -> ParameterSet:
    """The set of this name. Raises ParameterError for another name: it may come from the peer."""
    for parameters in (B4096, A8192):
        if parameters.name == name:
            return parameters
    raise ParameterError(f"no parameter set {name!r}: choose {B4096.name} or {A8192.name}")
