"""Arithmetic of the select protocol, in place, for the ring 2^32 and for an odd modulus.

Beside residues there are **units**: the products with Q = M >> f. In the ring Q = 2^(32-f), its multiples
form the group Z / 2^f, and a unit is the f-bit multiplier (in the narrowest unsigned type; what lies above
f bits is noise that the lift shifts out). Mod an odd M, Q divides nothing: a unit is a residue, f bits
become l.

A mask is a uint8, 0 or 255; it selects by AND, after its sign has been extended to the width at hand.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..prg import Prg
from ..shares import Modulus

__all__ = ["Arithmetic", "OddArithmetic", "RingArithmetic", "arithmetic", "as_mask", "widen"]

Residues = NDArray[np.uint32]
Units = NDArray[Any]  # unsigned
Mask = NDArray[np.uint8]


class Arithmetic(Protocol):
    """Operations mod M on arrays of one shape. A trailing underscore: the first argument is overwritten."""

    modulus: Modulus
    shift: int
    unit_width: int  # bits of a unit on the wire
    unit_dtype: np.dtype[Any]
    unit_group: Modulus | int  # as products.py takes it

    def add_(self, x: Residues, y: Residues) -> None: ...

    def sub_(self, x: Residues, y: Residues) -> None: ...

    def negate_where_(self, x: Residues, mask: Mask) -> None: ...

    def below_half(self, x: Residues) -> Units:
        """Q where x < M/2, otherwise 0, as units."""
        ...

    def of_bits(self, bits: NDArray[np.uint8]) -> Units:
        """Q where the bit is 1, otherwise 0, as units."""
        ...

    def uniform_units(self, prg: Prg, shape: int | tuple[int, ...]) -> Units: ...

    def as_units(self, x: NDArray[Any]) -> Units: ...

    def add_units_(self, x: Units, y: Units) -> None: ...

    def sub_units_(self, x: Units, y: Units) -> None: ...

    def negate_units_where_(self, x: Units, mask: Mask) -> None: ...

    def reduce_units(self, x: Units) -> Units:
        """The representatives that go on the wire."""
        ...

    def lift(self, x: Units) -> Residues: ...


def arithmetic(modulus: Modulus, shift: int) -> Arithmetic:
    return RingArithmetic(modulus, shift) if modulus.is_ring else OddArithmetic(modulus, shift)


def as_mask(bits: NDArray[np.uint8]) -> Mask:
    """0 or 1 to 0 or 255."""
    return np.negative(bits)


def widen(mask: Mask, dtype: np.dtype[Any]) -> NDArray[Any]:
    """0 or 255 to 0 or all ones of another width."""
    if dtype.itemsize == 1:
        return mask
    return mask.view(np.int8).astype(f"i{dtype.itemsize}").view(dtype)


class RingArithmetic:
    """Mod 2^32: machine words wrap by themselves."""

    def __init__(self, modulus: Modulus, shift: int):
        self.modulus, self.shift = modulus, shift
        self.unit_width = shift
        self.unit_group: Modulus | int = shift
        self.unit_dtype = np.dtype(np.uint8 if shift <= 8 else np.uint16 if shift <= 16 else np.uint32)

    def add_(self, x: Residues, y: Residues) -> None:
        np.add(x, y, out=x)

    def sub_(self, x: Residues, y: Residues) -> None:
        np.subtract(x, y, out=x)

    def negate_where_(self, x: Residues, mask: Mask) -> None:
        wide = widen(mask, x.dtype)
        np.bitwise_xor(x, wide, out=x)
        np.subtract(x, wide, out=x)  # -x = ~x + 1

    def below_half(self, x: Residues) -> Units:
        return self.of_bits(np.less(x, np.uint32(1 << 31)).view(np.uint8))

    def of_bits(self, bits: NDArray[np.uint8]) -> Units:
        return bits.astype(self.unit_dtype, copy=False)

    def uniform_units(self, prg: Prg, shape: int | tuple[int, ...]) -> Units:
        words = prg.bytes(int(np.prod(shape)) * self.unit_dtype.itemsize).view(self.unit_dtype)
        return words.reshape(shape)

    def as_units(self, x: NDArray[Any]) -> Units:
        return x.astype(self.unit_dtype)

    def add_units_(self, x: Units, y: Units) -> None:
        np.add(x, y, out=x)

    def sub_units_(self, x: Units, y: Units) -> None:
        np.subtract(x, y, out=x)

    def negate_units_where_(self, x: Units, mask: Mask) -> None:
        wide = widen(mask, x.dtype)
        np.bitwise_xor(x, wide, out=x)
        np.subtract(x, wide, out=x)

    def reduce_units(self, x: Units) -> Units:
        if 8 * x.itemsize == self.shift:
            return x
        return x & self.unit_dtype.type((1 << self.shift) - 1)

    def lift(self, x: Units) -> Residues:
        wide = x.astype(np.uint32)
        wide <<= np.uint32(32 - self.shift)
        return wide


class OddArithmetic:
    """Mod an odd M of 31 bits: one conditional subtraction after each addition."""

    def __init__(self, modulus: Modulus, shift: int):
        self.modulus, self.shift = modulus, shift
        self.unit_width = modulus.bits
        self.unit_dtype = np.dtype(np.uint32)
        self.unit_group: Modulus | int = modulus
        self._m = np.uint32(modulus.value)
        self._q = np.uint32(modulus.value >> shift)

    def add_(self, x: Residues, y: Residues) -> None:
        np.add(x, y, out=x)
        np.minimum(x, x - self._m, out=x)

    def sub_(self, x: Residues, y: Residues) -> None:
        np.subtract(x, y, out=x)
        np.minimum(x, x + self._m, out=x)

    def negate_where_(self, x: Residues, mask: Mask) -> None:
        np.copyto(x, self.modulus.neg(x), where=mask != 0)

    def below_half(self, x: Residues) -> Units:
        return self.of_bits(np.less(x, np.uint32((self.modulus.value + 1) // 2)).view(np.uint8))

    def of_bits(self, bits: NDArray[np.uint8]) -> Units:
        return bits * self._q

    def uniform_units(self, prg: Prg, shape: int | tuple[int, ...]) -> Units:
        return self.modulus.uniform(prg, shape)

    def as_units(self, x: NDArray[Any]) -> Units:
        return x.astype(np.uint32, copy=False)

    add_units_ = add_
    sub_units_ = sub_
    negate_units_where_ = negate_where_

    def reduce_units(self, x: Units) -> Units:
        return x

    def lift(self, x: Units) -> Residues:
        return x
