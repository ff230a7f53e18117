"""One linear layer on residues: W x + bias modulo M."""

import numpy as np
import torch
from numpy.typing import NDArray

from circa.errors import ParameterError
from circa.program import Linear
from circa.protocols.shares import Modulus

from .bytes import by_bytes
from .doubles import Apply, by_doubles

__all__ = ["ExactLinear"]

Residues = NDArray[np.uint32]
Integers = NDArray[np.int64]


class ExactLinear:
    """weight: int64 (out_channels, in_channels / groups, kh, kw), of 16 bits; bias: int64 (out_channels,) or
    None.

    Has no state beyond them: threads may share one. Raises ParameterError for other shapes or larger weights.
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
        self._bias = None if bias is None else modulus.encode(bias)[:, None]
        self._apply = by_doubles(g, weight, modulus)
        faster = by_bytes(g, weight, modulus)
        if faster is not None and self._agrees(faster):
            self._apply = faster

    def __call__(self, x: Residues) -> Residues:
        """uint32 (batch, ...) of in_channels * height * width elements each, to uint32 (batch, *op.shape)."""
        with torch.inference_mode():
            y = self._apply(x.reshape(x.shape[0], *self._op.geometry.input_shape))
        y = y if self._bias is None else self._modulus.add(y, self._bias)
        return y.reshape(x.shape[0], *self._op.shape)

    def _agrees(self, other: Apply) -> bool:
        """Whether it gives the same for a random image: a guard against errors of the library that we do not
        know.
        """
        shape = (1, *self._op.geometry.input_shape)
        x = np.random.default_rng(0).integers(0, self._modulus.value, shape, dtype=np.uint32)
        with torch.inference_mode():
            return bool((other(x) == self._apply(x)).all())
