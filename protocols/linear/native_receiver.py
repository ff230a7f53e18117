"""The key holder's engine in native code: a key pair, requests and the reading of responses.

    encrypt     (q/t m - a s - e, seed of a)     symmetric: a uniform, from a fresh seed as SEAL expands it
    decrypt     round(t/q (c0 + c1 s)) modulo t  at the first prime, where c0 is known

The distributions are SEAL's: s uniform ternary, e centred binomial of 2 * 21 bits, the seed uniform, all from
AES-CTR keyed by the operating system's CSPRNG. The secret key never leaves the object; no other key is made
of it.
"""

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckFailed
from ..prg import Prg
from .native_ring import native_ring
from .parameters import SEED_BYTES, ParameterSet
from .samplers import centred_binomial, ternary

__all__ = ["NativeReceiver"]


class NativeReceiver:
    """`backend.ReceiverBackend` on the kernels, with a key of its own."""

    def __init__(self, parameters: ParameterSet, modulus: int):
        self._parameters, self._prg = parameters, Prg.from_os()
        self._ring = native_ring(parameters, modulus)
        self._secret = self._ring.transform(ternary(self._prg, parameters.degree))

    def encrypt(self, values: NDArray[np.uint64]) -> bytes:
        degree = self._parameters.degree
        seed, error = self._prg.bytes(SEED_BYTES), centred_binomial(self._prg, degree)
        out = np.empty(self._parameters.request_bytes, np.uint8)
        self._ring.encrypt(self._secret, values, error, seed, out)
        return out.tobytes()

    def decrypt(self, response: bytes, positions: NDArray[np.int64]) -> NDArray[np.uint32]:
        out = np.empty(positions.size, np.uint32)
        if not self._ring.decrypt(self._secret, np.frombuffer(response, np.uint8), positions, out):
            raise CheckFailed("the peer sent a coefficient that is not reduced modulo its prime")
        return out
