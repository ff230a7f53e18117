"""The sender's engine on Microsoft SEAL. It holds Python's lock: only processes make it parallel."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..prg import Prg
from .backend import WeightRow
from .noise import flood_bits
from .parameters import ParameterSet
from .samplers import centred_binomial, signed_uniform, ternary
from .seal import Ciphertext, Plaintext, context, pack_words

__all__ = ["SealSender"]


class SealSender:
    """`backend.SenderBackend` on `tenseal.sealapi`."""

    parallel = False

    def __init__(self, parameters: ParameterSet, modulus: int):
        self.parameters, self.modulus = parameters, modulus
        self._seal = context(parameters, modulus)
        self._flood = flood_bits(self._seal)

    def request(self, message: bytes) -> Ciphertext:
        return self._seal.unpack_request(message)

    def factor(self, polynomial: NDArray[np.int64]) -> Plaintext:
        return self._seal.factor(polynomial)

    def respond(
        self,
        public: Ciphertext,
        requests: Sequence[Ciphertext],
        row: WeightRow,
        positions: NDArray[np.int64],
        mask: NDArray[np.uint32],
        prg: Prg,
    ) -> bytes:
        seal, degree, primes = self._seal, self._seal.degree, self._seal.primes
        total = seal.multiply(public, seal.factor(ternary(prg, degree)))
        for block, factor in row:
            seal.add(total, seal.multiply(requests[block], factor))
        seal.leave_ntt(total)
        noise = np.zeros((2, len(primes), degree), np.uint64)
        noise[0][:, positions] = signed_uniform(prg, self._flood, positions.size, primes)
        error = centred_binomial(prg, degree)
        for i, q in enumerate(primes):
            noise[1, i] = np.where(error < 0, error + q, error)
        seal.add(total, seal.ciphertext(noise))
        message = np.zeros(degree, np.uint64)
        message[positions] = (self.modulus - mask.astype(np.int64)) % self.modulus
        seal.add_plaintext(total, seal.plaintext(message))
        seal.drop(total)
        words = seal.words(total)
        return pack_words(words[1, 0], primes[0]) + pack_words(words[0, 0][positions], primes[0])
