"""Bits and short words to bytes and back, little-endian: what travels is not padded to whole words.

`pack(values, width)` puts value i at bits [i * width, (i + 1) * width) of the output, low bit first; the last
byte is filled with zeros. Widths of 8, 16 and 32 are plain little-endian words. `pack_numpy` and
`unpack_numpy` are the definitions; the native kernels give the same bytes.

The messages made of it, l = 32 for the ring and 31 for the prime, f the bits of a rescale:

    residues: shares, P, D, Beaver's openings    l bits      shares.send_residues, relu/columns.py
    corrections of products                      l, or f     ot/products.py
    units D1, D2                                 f, or l     relu/columns.py
    table E of a window of n bits                2^n bits    relu/columns.py
    choice bits e, e2; rows of an OT message     1 bit       relu/columns.py; ot/softspoken.py (a row is
                                                             filled up to a byte)

Labels, garbled tables, keys and curve points are blocks of 16 or 32 bytes as they are. How many bytes a
message takes is said beside the protocol that sends it, in `Relu.cost` and the functions that it calls;
`circa.estimate` adds nothing but sums, and tests hold every sum against the wire.
"""

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .errors import ParameterError

__all__ = ["pack", "pack_bits", "pack_numpy", "packed_size", "unpack", "unpack_bits", "unpack_numpy"]


def packed_size(count: int, width: int) -> int:
    """Bytes that `count` values of `width` bits take."""
    return (count * width + 7) // 8


def pack_bits(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """0/1 values, any shape, to bytes, low bit first."""
    return np.packbits(bits.reshape(-1), bitorder="little")


def unpack_bits(packed: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    return np.unpackbits(packed, count=count, bitorder="little")


def pack(values: NDArray[np.unsignedinteger], width: int) -> NDArray[np.uint8]:
    """Values below 2^width, any shape and unsigned dtype, to packed_size(values.size, width) bytes."""
    _check_width(width)
    flat = values.reshape(-1)
    if width == 1:
        return pack_bits(flat.astype(np.uint8))
    if width in (8, 16, 32, 64):
        return flat.astype(f"<u{width // 8}").view(np.uint8)
    fast = kernels.native()
    if fast is None:
        return pack_numpy(flat, width)
    words = flat if flat.dtype in (np.uint32, np.uint64) else flat.astype(np.uint64)
    out = np.empty(packed_size(flat.size, width), np.uint8)
    fast.pack(np.ascontiguousarray(words), width, out)
    return out


def pack_numpy(flat: NDArray[np.unsignedinteger], width: int) -> NDArray[np.uint8]:
    """`pack` for flat values and any width in NumPy: eight values fill `width` bytes exactly."""
    groups = np.zeros((-(-flat.size // 8), 8), np.uint64)
    groups.reshape(-1)[: flat.size] = flat
    out = np.zeros((groups.shape[0], width), np.uint8)
    for byte in range(width):
        i, offset = divmod(8 * byte, width)
        word = groups[:, i] >> np.uint64(offset)
        filled = width - offset
        while filled < 8 and i < 7:
            i += 1
            word = word | (groups[:, i] << np.uint64(filled))
            filled += width
        out[:, byte] = word.astype(np.uint8)
    return out.reshape(-1)[: packed_size(flat.size, width)]


def unpack(packed: NDArray[np.uint8], count: int, width: int) -> NDArray[np.uint64]:
    """The inverse of `pack`: `count` values as uint64."""
    _check_width(width)
    expected = packed_size(count, width)
    if packed.size != expected:
        raise ParameterError(f"{count} values of {width} bits take {expected} bytes, got {packed.size}")
    if width == 1:
        return unpack_bits(packed, count).astype(np.uint64)
    if width in (8, 16, 32, 64):
        return packed.view(f"<u{width // 8}").astype(np.uint64)
    fast = kernels.native()
    if fast is None:
        return unpack_numpy(packed, count, width)
    out = np.empty(count, np.uint64)
    fast.unpack(np.ascontiguousarray(packed), width, out)
    return out


def unpack_numpy(packed: NDArray[np.uint8], count: int, width: int) -> NDArray[np.uint64]:
    """`unpack` in NumPy."""
    groups = np.zeros((-(-count // 8), width), np.uint8)
    groups.reshape(-1)[: packed.size] = packed
    out = np.zeros((groups.shape[0], 8), np.uint64)
    for i in range(8):
        byte, offset = divmod(i * width, 8)
        word = groups[:, byte].astype(np.uint64) >> np.uint64(offset)
        filled = 8 - offset
        while filled < width:
            byte += 1
            word |= groups[:, byte].astype(np.uint64) << np.uint64(filled)
            filled += 8
        out[:, i] = word & np.uint64((1 << width) - 1)
    return out.reshape(-1)[:count]


def _check_width(width: int) -> None:
    if not 1 <= width <= 64:
        raise ParameterError(f"a packed value has 1 to 64 bits, not {width}")
