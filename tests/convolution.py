"""Linear layers to test on: geometries, a strategy for more, and the reference in plain 64-bit integers."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from circa.protocols.errors import ParameterError
from circa.protocols.linear.shape import LinearShape


def convolve(shape, weights, x, modulus):
    """W x mod M on int64, one output at a time, independent of the library: uint32 (batch, M, Ho, Wo)."""
    top, bottom, left, right = shape.padding
    (kh, kw), (sh, sw), (dh, dw) = shape.kernel, shape.stride, shape.dilation
    padded = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    channels, made = shape.in_channels // shape.groups, shape.out_channels // shape.groups
    out = np.zeros((x.shape[0], *shape.output_shape), np.int64)
    for m in range(shape.out_channels):
        group = padded[:, m // made * channels : (m // made + 1) * channels]
        for i in range(shape.out_height):
            for j in range(shape.out_width):
                y, z = i * sh, j * sw
                window = group[:, :, y : y + (kh - 1) * dh + 1 : dh, z : z + (kw - 1) * dw + 1 : dw]
                out[:, m, i, j] = (window * weights[m] % modulus.value).sum(axis=(1, 2, 3)) % modulus.value
    return out.astype(np.uint32)


PAD1 = (1, 1, 1, 1)
LAYERS = {
    "3x3": LinearShape(5, 8, 8, 7, (3, 3), padding=PAD1),
    "valid": LinearShape(4, 9, 6, 3, (3, 2)),
    "stride": LinearShape(3, 9, 8, 4, (3, 3), (2, 3), PAD1),
    "asymmetric": LinearShape(2, 7, 6, 3, (2, 4), (1, 1), (2, 0, 1, 3)),
    "dilated": LinearShape(2, 11, 9, 3, (3, 2), (1, 1), (2, 2, 0, 3), (2, 3)),
    "dilated stride": LinearShape(2, 11, 9, 3, (2, 3), (2, 4), (0, 2, 3, 3), (4, 2)),
    "shortcut": LinearShape(6, 8, 8, 9, (1, 1), (2, 2)),
    "groups": LinearShape(6, 6, 6, 4, (3, 3), padding=PAD1, groups=2),
    "depthwise": LinearShape(9, 7, 7, 9, (3, 3), padding=PAD1, groups=9),
    "multiplier": LinearShape(3, 5, 5, 6, (3, 3), (2, 2), PAD1, groups=3),
    "one pixel": LinearShape(3, 1, 1, 4, (3, 3), padding=PAD1),
    "rows cut": LinearShape(2, 70, 70, 2, (7, 7), (2, 2), (3, 3, 3, 3)),
    "columns cut": LinearShape(1, 2, 4500, 2, (2, 5), (1, 9), (0, 1, 2, 2)),
    "fully connected": LinearShape.fully_connected(300, 10),
    "wide": LinearShape.fully_connected(5000, 3),
}


@st.composite
def shapes(draw, side=9, channels=5):
    """Any valid small layer."""
    numbers = st.integers(1, 3)
    groups = draw(numbers)
    pair = st.tuples(numbers, numbers)
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    try:
        return LinearShape(
            groups * draw(st.integers(1, channels)),
            draw(st.integers(1, side)),
            draw(st.integers(1, side)),
            groups * draw(st.integers(1, channels)),
            draw(pair),
            draw(pair),
            padding,
            draw(pair),
            groups,
        )
    except ParameterError:
        assume(False)
