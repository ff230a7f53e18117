"""What the holder of the weights computes with: one engine for ring-LWE ciphertexts, behind three methods.

`sender_backend` chooses: the engine in native code where it was built, else Microsoft SEAL. A request, a
factor and a response are the same polynomials in all of them, and `respond` gives the same bytes from the
same seed, so neither the peer nor a test can tell which one worked.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..prg import Prg
from .parameters import ParameterSet

__all__ = [
    "Factor",
    "ReceiverBackend",
    "Request",
    "SenderBackend",
    "WeightRow",
    "receiver_backend",
    "sender_backend",
]

Request = Any  # a peer's ciphertext, parsed, checked and ready for products; opaque to the caller
Factor = Any  # a weight polynomial ready for products; opaque to the caller
WeightRow = Sequence[tuple[int, Factor]]  # channel block and polynomial, the all-zero ones left out


@runtime_checkable
class SenderBackend(Protocol):
    """The sender's half of BFV with one parameter set and plaintext modulus. Safe to share by threads."""

    @property
    def parameters(self) -> ParameterSet: ...

    @property
    def modulus(self) -> int:
        """The plaintext modulus: of the shares."""
        ...

    @property
    def parallel(self) -> bool:
        """Whether threads of one process work at the same time: it computes without Python's lock."""
        ...

    def request(self, message: bytes) -> Request:
        """A request polynomial, or the public key, of `parameters.request_bytes`.

        Raises CheckFailed for values that are not reduced modulo their prime.
        """
        ...

    def factor(self, polynomial: NDArray[np.int64]) -> Factor:
        """A weight polynomial, int64 (N,) of at most 16 bits each, in `parameters.plaintext_bytes`."""
        ...

    def respond(
        self,
        public: Request,
        requests: Sequence[Request],
        row: WeightRow,
        positions: NDArray[np.int64],
        mask: NDArray[np.uint32],
        prg: Prg,
    ) -> bytes:
        """One output polynomial, step (2) of `he.py`: masked, flooded, at the first prime; c1, then c0 at
        `positions`.

        Draws from prg in this order: `ternary(N)`, `signed_uniform(flood_bits, len(positions))`,
        `centred_binomial(N)`. Raises CheckFailed where the peer's ciphertexts admit no answer.
        """
        ...


class ReceiverBackend(Protocol):
    """The receiver's half: a secret key, and what it encrypts and decrypts. `encrypt` is for one thread."""

    def encrypt(self, values: NDArray[np.uint64]) -> bytes:
        """A request: a fresh seeded encryption of N residues, of `parameters.request_bytes`."""
        ...

    def decrypt(self, response: bytes, positions: NDArray[np.int64]) -> NDArray[np.uint32]:
        """The coefficients at the positions, of a response of the size that goes with them.

        Raises CheckFailed for values that are not reduced modulo the first prime.
        """
        ...


@lru_cache(maxsize=8)
def sender_backend(parameters: ParameterSet, modulus: int) -> SenderBackend:
    """The engine of this process for a parameter set and plaintext modulus."""
    fast = kernels.native()
    if fast is None:
        from .seal_sender import SealSender

        return SealSender(parameters, modulus)
    from .native_sender import NativeSender

    return NativeSender(parameters, modulus)


def receiver_backend(parameters: ParameterSet, modulus: int) -> ReceiverBackend:
    """An engine with a new key pair for one session."""
    if kernels.native() is None:
        from .seal_receiver import SealReceiver

        return SealReceiver(parameters, modulus)
    from .native_receiver import NativeReceiver

    return NativeReceiver(parameters, modulus)
