"""The geometry: sizes against torch, refusals, and axes without what is never read."""

import numpy as np
import pytest
import torch
from convolution import LAYERS, convolve, shapes
from hypothesis import given
from hypothesis import strategies as st

from circa.protocols.errors import ParameterError
from circa.protocols.linear.axis import Axis
from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import RING32


@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS)
def test_the_reference_and_the_sizes_are_those_of_torch(shape):
    rng = np.random.default_rng(0)
    x, weights = rng.integers(-99, 99, (2, *shape.input_shape)), rng.integers(-99, 99, shape.weight_shape)
    top, bottom, left, right = shape.padding
    padded = torch.nn.functional.pad(torch.tensor(x).double(), (left, right, top, bottom))
    rest = {"stride": shape.stride, "dilation": shape.dilation, "groups": shape.groups}
    expected = torch.nn.functional.conv2d(padded, torch.tensor(weights).double(), **rest).long().numpy()
    assert shape.output_shape == expected.shape[1:]
    result = convolve(shape, weights, RING32.encode(x), RING32)
    np.testing.assert_array_equal(RING32.decode(result), expected)


@st.composite
def axes(draw):
    small = st.integers(1, 5)
    axis = Axis(
        *(draw(s) for s in (st.integers(1, 12), small, small, st.integers(0, 6), st.integers(0, 6), small))
    )
    return axis if axis.before + axis.size + axis.after >= axis.span else draw(axes())


@given(axes())
def test_a_reduced_axis_reads_the_same_inputs(axis):
    def inputs(a, kept):
        """For every output and tap the input that it reads, -1 for padding."""
        reads = np.arange(a.outputs)[:, None] * a.stride + np.arange(a.kernel) * a.dilation - a.before
        return np.where((reads >= 0) & (reads < a.size), kept[np.clip(reads, 0, a.size - 1)], -1)

    whole = inputs(axis, np.arange(axis.size))
    if (whole < 0).all():
        with pytest.raises(ParameterError, match="only its padding"):
            axis.reduced()
        return
    smaller, kept = axis.reduced()
    assert smaller.size == kept.size <= axis.size
    assert smaller.outputs == axis.outputs
    np.testing.assert_array_equal(inputs(smaller, kept), whole)


@pytest.mark.parametrize(
    ("axis", "size", "stride"),
    [
        (Axis(8, 1, 2), 4, 1),
        (Axis(9, 2, 3), 6, 2),
        (Axis(9, 2, 4, dilation=2), 4, 2),
        (Axis(9, 3, 2, 1), 8, 2),
    ],
)
def test_unread_inputs_are_dropped(axis, size, stride):
    smaller, _ = axis.reduced()
    assert (smaller.size, smaller.stride) == (size, stride)


@given(shapes())
def test_a_shape_has_consistent_sizes(shape):
    assert shape.weight_shape[1] * shape.groups == shape.in_channels
    assert (shape.out_height, shape.out_width) == shape.output_shape[1:]


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 8, 8, 4),
        (4, 8, 8, 0),
        (4, 8, 8, 4, (9, 1)),
        (4, 8, 8, 4, (3, 3), (0, 1)),
        (4, 8, 8, 4, (3, 3), (1, 1), (0, 0, -1, 0)),
        (4, 8, 8, 4, (3, 3), (1, 1), (0, 0, 0, 0), (4, 1)),
        (4, 8, 8, 4, (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 3),
        (3, 8, 8, 4, (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 3),
        (4, 8, 8, 3, (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 3),
        (4, 8, 8, 4, (3, 3), (1, 1), (0, 0)),
        (1 << 20, 1 << 5, 1 << 5, 1),
        (1 << 21, 1, 1, 1),
        (1 << 20, 1, 1, 1 << 10),
        (1, 1, 1, 1, (1, 1), (3, 3), (1, 1, 1, 1)),
    ],
)
def test_impossible_shapes_are_refused(arguments):
    with pytest.raises(ParameterError):
        LinearShape(*arguments)


def test_weights_and_inputs_are_checked():
    shape = LinearShape(2, 4, 4, 3, (3, 3))
    good = np.zeros(shape.weight_shape, np.int64)
    shape.check_weights(good)
    good[0, 0, 0, 0] = -(1 << 15)
    shape.check_weights(good)
    for bad in (good.astype(float), good[:2], np.where(good == 0, 1 << 15, 0), good - 1):
        with pytest.raises(ParameterError):
            shape.check_weights(bad)
    x = np.zeros((2, *shape.input_shape), np.uint32)
    shape.check_input(x)
    for bad in (x[0], x[:0], x.astype(np.int64), x[:, :, :3]):
        with pytest.raises(ParameterError):
            shape.check_input(bad)
