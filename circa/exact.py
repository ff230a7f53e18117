"""Linear layers exact modulo M: W x + bias on residues, by floating-point convolutions that round nothing.

A residue is split into two limbs of 16 bits. A float64 convolution of one limb is exact as long as no sum can
reach 2^53, which the weights' 1-norm bounds: |sum| <= 65535 * max over rows of sum |w| (partial sums too, in
any order).
"""

import numpy as np
import torch
from numpy.typing import NDArray

from circa.errors import ParameterError
from circa.program import Linear
from circa.protocols.shares import Modulus

__all__ = ["ExactLinear"]

Residues = NDArray[np.uint32]
Integers = NDArray[np.int64]


class ExactLinear:
    """One layer's W x + bias mod M.

    weight: int64 (out_channels, in_channels / groups, kh, kw), bias: int64 (out_channels,) or None. Raises
    ParameterError for other shapes or weights whose sums need more than 53 bits.
    """

    def __init__(self, op: Linear, weight: Integers, bias: Integers | None, modulus: Modulus) -> None:
        g = op.geometry
        try:
            g.check_weights(weight)
        except ParameterError as error:
            raise ParameterError(f"layer {op.name}: {error}") from None
        if bias is not None and bias.shape != (g.out_channels,):
            raise ParameterError(
                f"layer {op.name}: a bias of shape {bias.shape} for {g.out_channels} channels"
            )
        norm = int(np.abs(weight).reshape(g.out_channels, -1).sum(axis=1).max())
        if norm * 65535 >= 1 << 53:
            raise ParameterError(
                f"layer {op.name}: weights of 1-norm {norm}; at most {(1 << 53) // 65535} is exact"
            )
        self._op = op
        self._modulus = modulus
        self._weight = torch.from_numpy(weight.astype(np.float64))
        self._bias = modulus.encode(np.zeros(g.out_channels, np.int64) if bias is None else bias)

    def __call__(self, x: Residues) -> Residues:
        """uint32 (batch, ...) of in_channels * height * width elements each, to uint32 (batch, *op.shape)."""
        g, modulus = self._op.geometry, self._modulus
        batch = x.shape[0]
        image = x.reshape(batch, g.in_channels, g.height, g.width)
        limbs = np.concatenate([image & np.uint32(0xFFFF), image >> np.uint32(16)]).astype(np.float64)
        top, bottom, left, right = g.padding
        with torch.inference_mode():
            padded = torch.nn.functional.pad(torch.from_numpy(limbs), (left, right, top, bottom))
            sums = torch.nn.functional.conv2d(
                padded, self._weight, stride=g.stride, dilation=g.dilation, groups=g.groups
            )
            low, high = sums.to(torch.int64).numpy().reshape(2, batch, g.out_channels, -1)
        if not modulus.is_ring:
            high %= modulus.value  # so that the shift stays within 64 bits; in the ring it may wrap
        total = modulus.encode(low + (high << 16))
        return modulus.add(total, self._bias[:, None]).reshape(batch, *self._op.shape)
