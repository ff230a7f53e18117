"""The public geometry of a linear layer: convolution of any kernel, stride, padding, dilation and groups.

A fully connected layer is the 1x1 convolution of a 1x1 image: height = width = 1, kernel = (1, 1).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .axis import Axis

__all__ = ["MAX_EXTENT", "MAX_VALUES", "MAX_WEIGHT", "LinearShape"]

MAX_EXTENT = 1 << 20  # of any one number in a shape: a description may come from the peer
MAX_VALUES = 1 << 26  # inputs, outputs or weights of one layer and image
MAX_WEIGHT = 1 << 15  # weights are signed 16-bit integers


@dataclass(frozen=True)
class LinearShape:
    """Sizes of one layer, checked: everything the receiver learns about it.

    kernel, stride, dilation are (vertical, horizontal); padding is (top, bottom, left, right), with zeros.
    Raises ParameterError for sizes out of range, groups that do not divide the channels, a kernel too large.
    """

    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        for name, length in (("kernel", 2), ("stride", 2), ("padding", 4), ("dilation", 2)):
            if len(getattr(self, name)) != length:
                raise ParameterError(f"{name} takes {length} numbers, not {len(getattr(self, name))}")
        positive = (self.in_channels, self.height, self.width, self.out_channels, self.groups)
        for value in (*positive, *self.kernel, *self.stride, *self.dilation):
            if not 1 <= value <= MAX_EXTENT:
                raise ParameterError(f"a layer's sizes lie in [1, {MAX_EXTENT}], not {value}")
        if not all(0 <= value <= MAX_EXTENT for value in self.padding):
            raise ParameterError(f"padding lies in [0, {MAX_EXTENT}], not {self.padding}")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ParameterError(
                f"{self.groups} groups do not divide {self.in_channels} and {self.out_channels} channels"
            )
        if min(self.out_height, self.out_width) < 1:
            raise ParameterError(
                f"a kernel of {self.kernel}, dilation {self.dilation}, does not fit an input of "
                f"{self.height} x {self.width} with padding {self.padding}"
            )
        for values in (self.input_shape, self.output_shape, self.weight_shape):
            if math.prod(values) > MAX_VALUES:
                raise ParameterError(f"a layer array of shape {values} exceeds {MAX_VALUES} values")
        if max(axis.outputs * axis.kernel for axis in (self.rows, self.columns)) > MAX_VALUES:
            raise ParameterError("a layer's kernel and output are too large together")
        self.rows.reduced()
        self.columns.reduced()

    @classmethod
    def fully_connected(cls, in_features: int, out_features: int) -> "LinearShape":
        return cls(in_features, 1, 1, out_features)

    @property
    def rows(self) -> Axis:
        top, bottom, _, _ = self.padding
        return Axis(self.height, self.kernel[0], self.stride[0], top, bottom, self.dilation[0])

    @property
    def columns(self) -> Axis:
        _, _, left, right = self.padding
        return Axis(self.width, self.kernel[1], self.stride[1], left, right, self.dilation[1])

    @property
    def out_height(self) -> int:
        return self.rows.outputs

    @property
    def out_width(self) -> int:
        return self.columns.outputs

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(in_channels, height, width)."""
        return self.in_channels, self.height, self.width

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(out_channels, out_height, out_width)."""
        return self.out_channels, self.out_height, self.out_width

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(out_channels, in_channels / groups, kernel height, kernel width)."""
        return self.out_channels, self.in_channels // self.groups, *self.kernel

    def check_weights(self, weights: NDArray[np.integer]) -> None:
        """Raise ParameterError unless the weights are integers of this layer's shape and of 16 bits."""
        if weights.shape != self.weight_shape or weights.dtype.kind != "i":
            raise ParameterError(
                f"expected integer weights of shape {self.weight_shape}, got {weights.dtype} {weights.shape}"
            )
        if weights.min() < -MAX_WEIGHT or weights.max() >= MAX_WEIGHT:
            raise ParameterError(
                "weights are signed 16-bit integers: use fewer fractional bits for the weights"
            )

    def check_input(self, r: NDArray[np.uint32]) -> None:
        """Raise ParameterError unless r holds a batch of this layer's inputs, residues as uint32."""
        if r.ndim != 4 or r.shape[0] < 1 or r.shape[1:] != self.input_shape or r.dtype != np.uint32:
            raise ParameterError(
                f"expected uint32 inputs of shape (batch, {', '.join(map(str, self.input_shape))}), "
                f"got {r.dtype} {r.shape}"
            )
