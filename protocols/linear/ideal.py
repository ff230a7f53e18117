"""The linear layer's ideal functionality: the interface of `he.py` without cryptography. Tests only.

           receiver: r                      sender: W
(1)        r                        →       the masks never leave the ideal functionality's place: NOT private
(2)        W r − s                  ←       s uniform
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel
from ..errors import ParameterError
from ..prg import Prg
from ..shares import Modulus, recv_residues, send_residues
from .parameters import B4096, parameter_set
from .shape import LinearShape

__all__ = ["IdealPrepared", "LinearReceiver", "LinearSender", "apply"]

Residues = NDArray[np.uint32]


def apply(modulus: Modulus, shape: LinearShape, weights: NDArray[np.int64], r: Residues) -> Residues:
    """W r mod M, exact, by one integer product for each tap of the kernel.

    r is (batch, in_channels, height, width); the result (batch, out_channels, out_height, out_width).
    """
    top, bottom, left, right = shape.padding
    padded = np.pad(modulus.decode(r), ((0, 0), (0, 0), (top, bottom), (left, right)))
    batch, groups = r.shape[0], shape.groups
    total = np.zeros(
        (batch, groups, shape.out_channels // groups, shape.out_height * shape.out_width), np.uint32
    )
    by_group = weights.reshape(groups, -1, *shape.weight_shape[1:]).astype(np.int64)
    for i in range(shape.kernel[0]):
        for j in range(shape.kernel[1]):
            rows = i * shape.dilation[0] + np.arange(shape.out_height) * shape.stride[0]
            columns = j * shape.dilation[1] + np.arange(shape.out_width) * shape.stride[1]
            x = padded[:, :, rows[:, None], columns].reshape(batch, groups, shape.in_channels // groups, -1)
            # |w x| < 2^46, so 2^17 channels fit a 64-bit sum; the ring may wrap
            total = modulus.add(total, modulus.encode(by_group[..., i, j] @ x))
    return total.reshape(batch, *shape.output_shape)


class IdealPrepared:
    """Weights of one layer."""

    def __init__(self, modulus: Modulus, shape: LinearShape, weights: NDArray[np.int64]):
        shape.check_weights(weights)
        if shape.in_channels // shape.groups > 1 << 17:
            raise ParameterError("the ideal linear layer takes at most 2^17 input channels a group")
        self.modulus, self.shape, self.weights = modulus, shape, weights


class LinearSender:
    """Holds the weights, learns s."""

    def __init__(self, modulus: Modulus, prg: Prg, parameters: str = B4096.name):
        parameter_set(parameters)
        self._modulus, self._prg = modulus, prg

    def setup(self, ch: Channel) -> None:
        """No key."""

    @staticmethod
    def prepare(
        modulus: Modulus, shape: LinearShape, weights: NDArray[np.int64], parameters: str = B4096.name
    ) -> IdealPrepared:
        parameter_set(parameters)
        return IdealPrepared(modulus, shape, weights)

    def respond(
        self,
        ch: Channel,
        prepared: IdealPrepared,
        batch: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Residues:
        """Returns s, uint32 (batch, out_channels, out_height, out_width)."""
        r = recv_residues(ch, (batch, *prepared.shape.input_shape), self._modulus)  # (1)
        s = self._modulus.uniform(self._prg, (batch, *prepared.shape.output_shape))
        product = apply(self._modulus, prepared.shape, prepared.weights, r)
        send_residues(ch, self._modulus.sub(product, s), self._modulus)  # (2)
        if progress is not None:
            progress(1, 1)
        return s


class LinearReceiver:
    """Holds r, learns W r - s."""

    def __init__(self, modulus: Modulus, parameters: str = B4096.name):
        parameter_set(parameters)
        self._modulus = modulus

    def setup(self, ch: Channel) -> None:
        """No key."""

    def request(
        self, ch: Channel, shape: LinearShape, r: Residues, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Send r, uint32 (batch, in_channels, height, width), residues."""
        shape.check_input(r)
        send_residues(ch, r, self._modulus)  # (1)
        if progress is not None:
            progress(1, 1)

    def receive(
        self, ch: Channel, shape: LinearShape, batch: int, progress: Callable[[int, int], None] | None = None
    ) -> Residues:
        """Returns W r - s, uint32 (batch, out_channels, out_height, out_width)."""
        share = recv_residues(ch, (batch, *shape.output_shape), self._modulus)  # (2)
        if progress is not None:
            progress(1, 1)
        return share
