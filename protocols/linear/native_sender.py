"""The sender's engine in native code: the bytes that SEAL gives from the same seed, without Python's lock.

The kernels (`native/rlwe*.cpp`) transform with Harvey's butterflies [Har14], sum products unreduced, round
and expand seeds as SEAL does; on processors with AVX-512 eight coefficients at a time. `seal_sender.py` is
the definition. Parameters and flood are the same; no secret key comes here.

[Har14] Harvey. Faster arithmetic for number-theoretic transforms. J. Symbolic Computation 60.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckFailed, FramingError
from ..packing import packed_size
from ..prg import Prg
from .backend import WeightRow
from .native_ring import native_ring
from .noise import flood_bits
from .parameters import ParameterSet
from .samplers import centred_binomial, signed_uniform, ternary
from .seal import context

__all__ = ["NativeSender"]

Words = NDArray[np.uint64]


class NativeSender:
    """`backend.SenderBackend` on the kernels.

    A request is words (2, primes, N), a factor (primes, N), both transformed: in the kernels' order.
    """

    parallel = True

    def __init__(self, parameters: ParameterSet, modulus: int):
        self.parameters, self.modulus = parameters, modulus
        chosen = context(parameters, modulus)
        self._primes, self._flood = chosen.primes, flood_bits(chosen)
        self._ring = native_ring(parameters, modulus)

    def request(self, message: bytes) -> Words:
        if len(message) != self.parameters.request_bytes:
            raise FramingError(f"a request has {self.parameters.request_bytes} bytes, got {len(message)}")
        made = self._ring.expand_request(np.frombuffer(message, np.uint8))
        if made is None:
            raise CheckFailed("the peer sent a coefficient that is not reduced modulo its prime")
        return made

    def factor(self, polynomial: NDArray[np.int64]) -> Words:
        return self._ring.transform(np.ascontiguousarray(polynomial))

    def respond(
        self,
        public: Words,
        requests: Sequence[Words],
        row: WeightRow,
        positions: NDArray[np.int64],
        mask: NDArray[np.uint32],
        prg: Prg,
    ) -> bytes:
        degree = self.parameters.degree
        blinding = self.factor(ternary(prg, degree))
        flood = signed_uniform(prg, self._flood, positions.size, self._primes)
        error = centred_binomial(prg, degree)
        message = ((self.modulus - mask.astype(np.uint64)) % np.uint64(self.modulus)).astype(np.uint32)
        width = self._primes[0].bit_length()
        out = np.empty(packed_size(degree, width) + packed_size(positions.size, width), np.uint8)
        self._ring.respond(
            [public, *(requests[block] for block, _ in row)],
            [blinding, *(factor for _, factor in row)],
            error,
            flood,
            message,
            positions,
            out,
        )
        return out.tobytes()
