"""Masks of activations: which elements keep their sign test, and what becomes of the others.

SNL (Cho, Joshi, Reagen, Garg, Hegde, ICML 2022), DeepReDuce (Jha, Ghodsi, Garg, Reagen, ICML 2021) and
AutoReP (Peng et al., ICCV 2023) train networks that need few ReLUs. With a 0/1 mask m, one entry an element:

    identity   y = m ReLU(z) + (1-m) z      the others are shifted to the result's scale by `rescale`
    zero       y = m ReLU(z)                the others cost nothing: both shares are zero

The mask is public, as the rest of the description is. masked.py runs it.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from circa.errors import ParameterError

__all__ = ["OTHERS", "Bits", "Mask", "Places", "gather", "scatter"]

OTHERS = ("identity", "zero")
Bits = NewType("Bits", str)
Residues = NDArray[np.uint32]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Mask:
    """bits: one for every element in C order, 1 where the sign test stays; eight a byte, the first one
    lowest, in base64. others: "identity" or "zero". Raises ParameterError for another text or word.
    """

    bits: Bits
    others: str = "identity"

    def __post_init__(self) -> None:
        if self.others not in OTHERS:
            raise ParameterError(f"what a mask drops becomes {' or '.join(OTHERS)}, not {self.others[:20]!r}")
        try:
            data = base64.b64decode(self.bits.encode("ascii"), validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise ParameterError("the bits of a mask are not base64") from None
        if base64.b64encode(data).decode() != self.bits:
            raise ParameterError("the bits of a mask are not canonical base64")

    @classmethod
    def of(cls, kept: NDArray[np.bool_], others: str = "identity") -> "Mask":
        """The mask that keeps the elements where `kept` is true."""
        packed = np.packbits(kept.reshape(-1), bitorder="little")
        return cls(Bits(base64.b64encode(packed.tobytes()).decode()), others)

    def _packed(self) -> NDArray[np.uint8]:
        return np.frombuffer(base64.b64decode(self.bits), np.uint8)

    @property
    def count(self) -> int:
        """Elements that keep their sign test."""
        return int(np.bitwise_count(self._packed()).sum())

    def kept(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """As an array of the activation's shape, without the batch.

        Raises ParameterError where the mask was made for another number of elements, or drops none.
        """
        size, packed = int(np.prod(shape)), self._packed()
        bits = np.unpackbits(packed, bitorder="little")
        if packed.size != (size + 7) // 8 or bits[size:].any():
            raise ParameterError(f"a mask of {8 * packed.size} bits for {size} elements")
        if bits[:size].all():
            raise ParameterError("a mask that keeps every element: leave it out")
        return bits[:size].astype(np.bool_).reshape(shape)

    def clear(self, share: Residues) -> None:
        """Set the client's share of a result, (batch, *shape), to zero where nothing is sent: in place."""
        if self.others == "zero":
            share[:, ~self.kept(share.shape[1:])] = 0


def gather(share: Residues, places: Places) -> Residues:
    """The elements of (batch, ...) at `places` of one image, as (batch, len(places), 1)."""
    return np.take(share.reshape(len(share), -1), places, axis=1)[:, :, None]


def scatter(share: Residues, places: Places, out: Residues) -> None:
    """Put (batch, len(places), 1) back into `out`, (batch, ...), C-contiguous: in place."""
    for image, values in zip(out.reshape(len(out), -1), share, strict=True):  # faster than all at once
        image[places] = values[:, 0]
