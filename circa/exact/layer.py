"""One linear layer on residues: W x + bias modulo M.

    x = sum_i 256^i x_i,  W = sum_parts 256^j W_part        W x = sum_parts 256^j (sum_i 256^i (W_part * x_i))

The inner convolutions are sums below 2^24 (engines.py). Modulo 2^32 only i + j < 4 counts, and 32-bit words
may wrap; modulo the prime everything counts, in 64 bits, reduced after each part. Weights that need many
parts, and machines without an exact engine, take two limbs of 16 bits in float64, whose sums stay below 2^53.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circa.errors import ParameterError
from circa.program import Linear
from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import Modulus

from .digits import digit_planes, from_channels_last, split_weight
from .engines import Engine, engine, float32

__all__ = ["ExactLinear"]

Residues = NDArray[np.uint32]
Integers = NDArray[np.int64]
Apply = Callable[[Residues], Residues]
"""uint32 (batch, channels, height, width) to uint32 (batch, out channels, out pixels), modulo M."""

MAX_PARTS = {True: 1, False: 8}  # of float32, of 8-bit integers: beyond, two float64 convolutions are faster


class ExactLinear:
    """weight: int64 (out_channels, in_channels / groups, kh, kw), of 16 bits; bias: int64 (out_channels,) or
    None.

    Raises ParameterError for other shapes or larger weights.
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
        self._op = op
        self._modulus = modulus
        self._bias = modulus.encode(np.zeros(g.out_channels, np.int64) if bias is None else bias)
        self._apply = _by_limbs(g, weight, modulus)
        by_digits = _by_digits(g, weight, modulus, engine())
        if by_digits is not None and _agree(by_digits, self._apply, g, modulus):
            self._apply = by_digits

    def __call__(self, x: Residues) -> Residues:
        """uint32 (batch, ...) of in_channels * height * width elements each, to uint32 (batch, *op.shape)."""
        with torch.inference_mode():
            y = self._apply(x.reshape(x.shape[0], *self._op.geometry.input_shape))
        return self._modulus.add(y, self._bias[:, None]).reshape(x.shape[0], *self._op.shape)


def _by_digits(g: LinearShape, weight: Integers, modulus: Modulus, run: Engine | None) -> Apply | None:
    """By 8-bit digits; None where another way is faster or there is no engine."""
    parts = split_weight(weight)
    split_channels = any(channels != slice(0, weight.shape[1]) for _, channels, _ in parts)
    if run is None or len(parts) > MAX_PARTS[run is float32] or (split_channels and g.groups > 1):
        return None
    convolutions = [(digit, channels, run(g, values)) for digit, channels, values in parts]

    def apply(x: Residues) -> Residues:
        planes = digit_planes(x, g.padding)
        total = torch.zeros((), dtype=torch.int32 if modulus.is_ring else torch.int64)
        for digit, channels, convolve in convolutions:
            used = planes[: 4 - digit] if modulus.is_ring else planes
            if split_channels:
                used = used[..., channels].contiguous()
            sums = convolve(used.flatten(0, 1)).view(len(used), x.shape[0], -1, g.out_channels)
            total = total + (_horner(sums, modulus) << 8 * digit)
        if not modulus.is_ring:
            total = total.remainder_(modulus.value).to(torch.int32)
        return from_channels_last(total).numpy().view(np.uint32)

    return apply


def _horner(sums: Tensor, modulus: Modulus) -> Tensor:
    """sum_i 256^i sums[i], modulo M."""
    dtype = torch.int32 if modulus.is_ring else torch.int64
    total = sums[-1].to(dtype)
    for lower in reversed(sums[:-1].unbind()):
        total.bitwise_left_shift_(8).add_(lower.to(dtype))
    return total if modulus.is_ring else total.remainder_(modulus.value)


def _by_limbs(g: LinearShape, weight: Integers, modulus: Modulus) -> Apply:
    """By limbs of 16 bits in float64, for any weights of 16 bits: |sum| < 2^16 * 2^15 * 2^22."""
    kernel = torch.from_numpy(weight.astype(np.float64))
    top, bottom, left, right = g.padding
    if 65535 * int(np.abs(weight).sum(axis=(1, 2, 3)).max()) >= 1 << 53:
        raise ParameterError(
            f"the 1-norm of a row of weights exceeds {(1 << 53) // 65535}: sums would not be exact"
        )

    def apply(x: Residues) -> Residues:
        limbs = np.stack([x & np.uint32(0xFFFF), x >> np.uint32(16)]).astype(np.float64)
        padded = torch.nn.functional.pad(torch.from_numpy(limbs).flatten(0, 1), (left, right, top, bottom))
        sums = torch.nn.functional.conv2d(padded, kernel, None, g.stride, 0, g.dilation, g.groups)
        low, high = sums.to(torch.int64).numpy().reshape(2, x.shape[0], g.out_channels, -1)
        if not modulus.is_ring:
            high %= modulus.value  # so that the shift stays within 64 bits; modulo 2^32 it may wrap
        return modulus.encode(low + (high << 16))

    return apply


def _agree(first: Apply, second: Apply, g: LinearShape, modulus: Modulus) -> bool:
    """Whether both give the same for a random image: oneDNN (in torch 2.13) computes some rare geometries
    wrongly, such as one channel a group, stride (1, 2) and an output of width 1.
    """
    x = np.random.default_rng(0).integers(0, modulus.value, (1, *g.input_shape), dtype=np.uint32)
    with torch.inference_mode():
        return bool((first(x) == second(x)).all())
