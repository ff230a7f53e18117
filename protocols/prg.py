"""Pseudorandom generator: AES-128 in counter mode.

The i-th block of the stream is AES_seed(i), i a 128-bit big-endian counter from 0 (NIST SP 800-38A, CTR with
a zero initial counter). A seed is used by one `Prg` only, so no block is ever produced twice under one key.
"""

import secrets

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from . import kernels
from .errors import ParameterError

__all__ = ["SEED_BYTES", "Prg"]

SEED_BYTES = 16
_ZEROS = bytes(1 << 16)


class Prg:
    """A stream of pseudorandom bytes from a 16-byte seed. One generator per role and thread."""

    def __init__(self, seed: bytes):
        if len(seed) != SEED_BYTES:
            raise ParameterError(f"a PRG seed has {SEED_BYTES} bytes, got {len(seed)}")
        self._stream = Cipher(algorithms.AES128(seed), modes.CTR(bytes(16))).encryptor()

    @classmethod
    def from_os(cls) -> "Prg":
        """A generator keyed by the operating system's CSPRNG: what production uses."""
        return cls(secrets.token_bytes(SEED_BYTES))

    def fork(self) -> "Prg":
        """An independent generator, seeded from this one's stream."""
        return Prg(self.bytes(SEED_BYTES).tobytes())

    def bytes(self, size: int) -> NDArray[np.uint8]:
        """The next `size` bytes of the stream, as a writable uint8 array."""
        out = np.empty(size + 15, np.uint8)  # update_into asks for a block of slack
        view = out.data
        done = 0
        while done < size:
            step = min(len(_ZEROS), size - done)
            self._stream.update_into(memoryview(_ZEROS)[:step], view[done:])
            done += step
        return out[:size]

    def uint32(self, shape: int | tuple[int, ...]) -> NDArray[np.uint32]:
        """Uniform 32-bit words."""
        return self.bytes(4 * int(np.prod(shape, dtype=np.int64))).view(np.uint32).reshape(shape)

    def uint64(self, shape: int | tuple[int, ...]) -> NDArray[np.uint64]:
        """Uniform 64-bit words."""
        return self.bytes(8 * int(np.prod(shape, dtype=np.int64))).view(np.uint64).reshape(shape)

    def blocks(self, count: int) -> NDArray[np.uint64]:
        """Uniform 128-bit blocks, shape (count, 2): low word first."""
        return self.uint64((count, 2))

    def bits(self, shape: int | tuple[int, ...]) -> NDArray[np.uint8]:
        """Uniform bits, one in each uint8 (0 or 1)."""
        count = int(np.prod(shape, dtype=np.int64))
        packed = self.bytes((count + 7) // 8)
        return np.unpackbits(packed, count=count, bitorder="little").reshape(shape)

    def below(self, bound: int, shape: int | tuple[int, ...]) -> NDArray[np.uint32]:
        """Uniform integers in [0, bound), bound <= 2^32, by rejection: no bias."""
        if not 0 < bound <= 1 << 32:
            raise ParameterError(f"bound {bound} is outside [1, 2^32]")
        if bound & (bound - 1) == 0:
            return self.uint32(shape) & np.uint32(bound - 1)
        count = int(np.prod(shape, dtype=np.int64))
        width = bound.bit_length()
        out = np.empty(count, np.uint32)
        done = 0
        while done < count:
            missing = count - done
            draw = self.uint32(missing * (1 << width) // bound + 64)
            done += accept(draw, bound, out[done:])
        return out.reshape(shape)


def accept(draw: NDArray[np.uint32], bound: int, out: NDArray[np.uint32]) -> int:
    """The top bits of each word, where they are below the bound, into out; returns how many there are."""
    fast = kernels.native()
    if fast is not None:
        count: int = fast.below(draw, bound, out)
        return count
    return accept_numpy(draw, bound, out)


def accept_numpy(draw: NDArray[np.uint32], bound: int, out: NDArray[np.uint32]) -> int:
    """`accept` in NumPy."""
    values = draw >> np.uint32(32 - bound.bit_length())
    values = values[values < bound][: out.size]
    out[: values.size] = values
    return int(values.size)
