"""One linear layer on residues: W x + bias modulo M."""

import numpy as np
from numpy.typing import NDArray

from circa.errors import ParameterError
from circa.program import Linear
from circa.protocols.shares import Modulus

from .doubles import by_doubles
from .words import by_words

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
        offsets = None if bias is None else modulus.encode(bias)
        faster = by_words(g, weight, offsets, modulus)
        self._apply = by_doubles(g, weight, offsets, modulus) if faster is None else faster

    def __call__(self, x: Residues) -> Residues:
        """uint32 (batch, ...) of in_channels * height * width elements each, to uint32 (batch, *op.shape)."""
        y = self._apply(x.reshape(x.shape[0], *self._op.geometry.input_shape))
        return y.reshape(x.shape[0], *self._op.shape)
