"""The key holder's engine on Microsoft SEAL."""

import numpy as np
from numpy.typing import NDArray

from .parameters import ParameterSet
from .seal import Keys, context, unpack_words

__all__ = ["SealReceiver"]


class SealReceiver:
    """`backend.ReceiverBackend` on `tenseal.sealapi`, with a key of its own."""

    def __init__(self, parameters: ParameterSet, modulus: int):
        self._context = context(parameters, modulus)
        self._fixed = parameters.response_bytes
        self.keys = Keys(self._context)

    def encrypt(self, values: NDArray[np.uint64]) -> bytes:
        return self.keys.encrypt(values)

    def decrypt(self, response: bytes, positions: NDArray[np.int64]) -> NDArray[np.uint32]:
        degree, q = self._context.degree, self._context.primes[0]
        c1, c0 = unpack_words(response[: self._fixed], degree, q), np.zeros(degree, np.uint64)
        c0[positions] = unpack_words(response[self._fixed :], positions.size, q)
        return self.keys.decrypt(c1, c0)[positions].astype(np.uint32)
