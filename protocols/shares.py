"""Additive sharing modulo M: x = x_c + x_s mod M.

M is 2^32 (the ring) or the prime 2138816513 (31 bits, Circa's own). A residue is a uint32 in [0, M); a signed
value v in [-M/2, M/2) is represented by v mod M. Two's complement makes the ring free; the prime pays one
conditional subtraction an addition and one 64-bit remainder a multiplication.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .channel import Channel, recv_array, send_array
from .errors import CheckFailed, ParameterError
from .packing import pack, packed_size, unpack
from .prg import Prg

__all__ = [
    "PRIME31",
    "RING32",
    "Modulus",
    "recv_residues",
    "residue_bytes",
    "reveal",
    "send_residues",
    "share",
]

Residues = NDArray[np.uint32]


@dataclass(frozen=True)
class Modulus:
    """Arithmetic on uint32 arrays of residues mod `value`, which is 2^32 or an odd number of 31 bits."""

    value: int

    def __post_init__(self) -> None:
        if self.value != 1 << 32 and not (1 << 30 < self.value < 1 << 31 and self.value % 2):
            raise ParameterError(f"modulus {self.value} is neither 2^32 nor an odd number of 31 bits")

    @property
    def is_ring(self) -> bool:
        return self.value == 1 << 32

    @property
    def bits(self) -> int:
        """l, the bits of a residue: 32 for the ring, 31 for the prime."""
        return (self.value - 1).bit_length()

    def add(self, a: Residues, b: Residues) -> Residues:
        total = np.add(a, b, dtype=np.uint32)  # a + b < 2^32 for 31-bit residues: no wrap to undo
        return total if self.is_ring else np.minimum(total, total - np.uint32(self.value))

    def sub(self, a: Residues, b: Residues) -> Residues:
        difference = np.subtract(a, b, dtype=np.uint32)
        return difference if self.is_ring else np.minimum(difference, difference + np.uint32(self.value))

    def neg(self, a: Residues) -> Residues:
        return self.sub(np.zeros_like(a), a)

    def mul(self, a: Residues, b: Residues) -> Residues:
        if self.is_ring:
            return np.multiply(a, b, dtype=np.uint32)
        return (np.multiply(a, b, dtype=np.uint64) % np.uint64(self.value)).astype(np.uint32)

    def encode(self, values: NDArray[np.integer]) -> Residues:
        """Signed (or any) integers to residues."""
        if self.is_ring:
            return values.astype(np.uint32)
        return np.mod(values.astype(np.int64), self.value).astype(np.uint32)

    def decode(self, residues: Residues) -> NDArray[np.int64]:
        """Residues to the signed representatives in [-M/2, M/2)."""
        if self.is_ring:
            return residues.view(np.int32).astype(np.int64)
        signed = residues.astype(np.int64)
        return np.where(signed > self.value // 2, signed - self.value, signed)

    def uniform(self, prg: Prg, shape: int | tuple[int, ...]) -> Residues:
        return prg.below(self.value, shape)


RING32 = Modulus(1 << 32)
PRIME31 = Modulus(2138816513)


def share(x: Residues, prg: Prg, modulus: Modulus) -> tuple[Residues, Residues]:
    """Split x into two shares, each uniform on its own."""
    x_c = modulus.uniform(prg, x.shape)
    return x_c, modulus.sub(x, x_c)


def reveal(ch: Channel, x: Residues, modulus: Modulus) -> Residues:
    """Exchange shares and return the sum: one round, `residue_bytes` each way. Symmetric."""
    send_residues(ch, x, modulus)
    return modulus.add(x, recv_residues(ch, x.shape, modulus))


def residue_bytes(count: int, modulus: Modulus) -> int:
    """What `count` residues take on the wire: l bits each, packed."""
    return packed_size(count, modulus.bits)


def send_residues(ch: Channel, x: Residues, modulus: Modulus) -> None:
    """Send residues of any shape in `residue_bytes`."""
    send_array(ch, pack(x, modulus.bits))


def recv_residues(ch: Channel, shape: int | tuple[int, ...], modulus: Modulus) -> Residues:
    """Receive residues. Raises CheckFailed where one is not below M. The result is read-only."""
    if modulus.is_ring:
        words: Residues = recv_array(ch, np.uint32, shape)
        return words
    count = int(np.prod(shape, dtype=np.int64))
    packed = recv_array(ch, np.uint8, residue_bytes(count, modulus))
    residues = unpack(packed, count, modulus.bits).astype(np.uint32).reshape(shape)
    if count and int(residues.max()) >= modulus.value:
        raise CheckFailed(f"the peer sent a residue that is not below {modulus.value}")
    residues.setflags(write=False)
    return residues
