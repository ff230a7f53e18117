"""The native convolution against 64-bit integers, at every level that this processor has."""

import threading

import numpy as np
import pytest
from convolution import LAYERS, convolve, shapes
from hypothesis import given
from hypothesis import strategies as st

from circa.protocols import kernels
from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import PRIME31, RING32

NATIVE = kernels.native()
LEVELS = NATIVE.convolution_levels() if NATIVE else []
MODULI = [RING32, PRIME31]
SOME = LinearShape(3, 5, 6, 4, (3, 2), (1, 2), (1, 0, 2, 1), (1, 2))

pytestmark = pytest.mark.skipif(not LEVELS, reason="no native convolution on this machine")


@pytest.fixture(params=LEVELS)
def level(request):
    return request.param


def build(g, weights, bias, modulus, level):
    return NATIVE.Convolution(
        weights.astype(np.int16),
        bias,
        (g.height, g.width),
        g.stride,
        g.padding,
        g.dilation,
        g.groups,
        0 if modulus.is_ring else modulus.value,
        level,
    )


def check(g, weights, x, modulus, threads=1, bias=None):
    expected = convolve(g, weights, x, modulus).reshape(len(x), g.out_channels, -1)
    if bias is None:
        bias = np.zeros(g.out_channels, np.uint32)
    for level in LEVELS:
        y = np.empty_like(expected)
        build(g, weights, bias, modulus, level).apply(x, y, threads)
        np.testing.assert_array_equal(y, modulus.add(expected, bias[:, None]))


def draw(rng, g, bits, modulus, batch=1):
    """Weights, a bias and inputs: uniform, with the extremes here and there."""
    weights = rng.integers(-(1 << bits), 1 << bits, g.weight_shape)
    weights[rng.random(g.weight_shape) < 0.1] = -(1 << bits)
    x = rng.integers(0, modulus.value, (batch, *g.input_shape), dtype=np.uint32)
    ends = (0, modulus.value - 1, modulus.value // 2, modulus.value // 2 + 1, 0x7FFF, 0x8000)
    places = rng.random(x.shape) < 0.3
    x[places] = rng.choice(np.array(ends, np.uint32), int(places.sum()))
    return weights, rng.integers(0, modulus.value, g.out_channels, dtype=np.uint32), x


@given(shapes(side=12, channels=9), st.integers(0, 15), st.sampled_from(MODULI), st.integers(0, 2**32))
def test_any_layer(g, bits, modulus, seed):
    rng = np.random.default_rng(seed)
    weights, bias, x = draw(rng, g, bits, modulus, int(rng.integers(1, 4)))
    check(g, weights, x, modulus, int(rng.integers(1, 4)), bias)


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("name", LAYERS)
def test_named_layers(name, modulus):
    g = LAYERS[name]
    weights, bias, x = draw(np.random.default_rng(0), g, 7, modulus, 2)
    check(g, weights, x, modulus, bias=bias)


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("outputs", [7, 8, 9, 16, 17, 31, 33, 48])
@pytest.mark.parametrize("width", [1, 3, 9, 16, 17])
def test_every_width_of_a_tile(outputs, width, modulus):
    """Vectors of output channels full and not, and tiles of every number of pixels."""
    g = LinearShape(3, 2, width, outputs, (1, 3), padding=(0, 0, 1, 1))
    weights, bias, x = draw(np.random.default_rng(outputs + width), g, 15, modulus)
    check(g, weights, x, modulus, bias=bias)


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("width", [1, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65, 100])
def test_along_rows_of_every_length(width, modulus):
    g = LinearShape(4, 3, width, 4, (3, 3), padding=(1, 1, 1, 1), groups=4)
    weights, bias, x = draw(np.random.default_rng(width), g, 15, modulus)
    check(g, weights, x, modulus, bias=bias)


@pytest.mark.parametrize("weight", [-32768, 32767])
@pytest.mark.parametrize("groups", [1, 40])
def test_the_largest_sums(weight, groups):
    """Every product at its extreme, in the prime up to the norm that the kernel takes: 64 * 2^15 = 2^21."""
    g = LinearShape(64 * groups, 2, 2, groups, groups=groups)
    weights = np.full(g.weight_shape, weight)
    for modulus in MODULI:
        for value in (modulus.value - 1, modulus.value // 2, modulus.value // 2 + 1, 0x80008000, 0x3FFFC000):
            x = np.full((1, *g.input_shape), value % modulus.value, np.uint32)
            check(g, weights, x, modulus)


def test_weights_of_alternating_sign(level):
    """Sums that must move to float64 several times, and cancel."""
    g = LinearShape.fully_connected(63, 3)
    weights = np.where(np.arange(63) % 2, -32768, 32767) * np.ones(g.weight_shape, np.int64)[..., 0, 0]
    x = np.random.default_rng(1).integers(0, PRIME31.value, (2, 63, 1, 1), dtype=np.uint32)
    check(g, weights[..., None, None], x, PRIME31)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("modulus", MODULI)
def test_bands_and_threads(threads, modulus):
    """Enough work for several threads, inputs beyond one band of rows; batches of 0 to 3."""
    g = LinearShape(70, 40, 37, 40, (3, 3), (1, 1), (1, 1, 1, 1))
    rng = np.random.default_rng(2)
    for batch in (0, 1, 3):
        weights = rng.integers(-9, 9, g.weight_shape)
        x = rng.integers(0, modulus.value, (batch, *g.input_shape), dtype=np.uint32)
        layers = [build(g, weights, np.zeros(40, np.uint32), modulus, level) for level in LEVELS]
        results = [np.full((batch, 40, 40 * 37), 7, np.uint32) for _ in range(len(layers) + 1)]
        for layer, y in zip(layers, results, strict=False):
            layer.apply(x, y, threads)
        for image, y in zip(x, results[-1], strict=True):  # each image alone, on one thread
            layers[0].apply(image[None], y[None], 1)
        for y in results[:-1]:
            np.testing.assert_array_equal(y, results[-1])
    top = LinearShape(70, 6, 37, 40, (3, 3), (1, 1), (1, 0, 1, 1))  # the first five rows, exactly
    expected = convolve(top, weights, x[:1, :, :6], modulus).reshape(1, 40, -1)
    np.testing.assert_array_equal(results[0][:1, :, : expected.shape[2]], expected)


def test_batches_of_a_fully_connected_layer():
    """More images than one band holds."""
    g = LinearShape.fully_connected(1500, 21)
    weights, bias, x = draw(np.random.default_rng(3), g, 7, RING32, 150)
    check(g, weights, x, RING32, 2, bias)


def test_two_python_threads_share_one_layer(level):
    g = LinearShape(32, 30, 30, 32, (3, 3), padding=(1, 1, 1, 1))
    weights, bias, x = draw(np.random.default_rng(4), g, 7, RING32, 2)
    layer, y = build(g, weights, bias, RING32, level), np.empty((4, 2, 32, 900), np.uint32)
    runs = [threading.Thread(target=layer.apply, args=(x, part, 1)) for part in y]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    for part in y[1:]:
        np.testing.assert_array_equal(part, y[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (5, 1 << 21)}, "out of range"),
        ({"size": (5,)}, "pairs"),
        ({"size": (0, 6)}, "out of range"),
        ({"stride": (0, 1)}, "out of range"),
        ({"padding": (0, 0, -1, 0)}, "out of range"),
        ({"weights": np.ones((4, 256, 1, 1), np.int16), "padding": (0, 0, 1 << 20, 1 << 20)}, "too large"),
        ({"padding": (0, 0, 0)}, "padding"),
        ({"dilation": (3, 1)}, "does not fit"),
        ({"groups": 3}, "groups"),
        ({"groups": 0}, "groups"),
        ({"bias": np.zeros(3, np.uint32)}, "bias"),
        ({"modulus": (1 << 31) - 1}, "modulus"),
        ({"level": "abacus"}, "level"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, message):
    fields = {
        "weights": np.ones(SOME.weight_shape, np.int16),
        "bias": np.zeros(4, np.uint32),
        "size": (5, 6),
        "stride": (1, 1),
        "padding": (0, 0, 0, 0),
        "dilation": (1, 1),
        "groups": 1,
        "modulus": 0,
        "level": LEVELS[0],
    }
    NATIVE.Convolution(**fields)
    with pytest.raises(ValueError, match=message):
        NATIVE.Convolution(**(fields | change))


def test_arrays_that_do_not_fit_are_refused(level):
    weights, bias, x = draw(np.random.default_rng(5), SOME, 7, RING32, 2)
    layer = build(SOME, weights, bias, RING32, level)
    y = np.empty((2, 4, SOME.out_height * SOME.out_width), np.uint32)
    layer.apply(x, y, 0)  # as one thread
    for wrong in (x[:, :2].copy(), x[:, :, :4].copy(), x[..., :5].copy()):
        with pytest.raises(ValueError, match="x has another shape"):
            layer.apply(wrong, y, 1)
    for wrong in (y[:1], y[:, :3].copy(), y[..., :-1].copy()):
        with pytest.raises(ValueError, match="y has another shape"):
            layer.apply(x, wrong, 1)
    for wrong in (x.astype(np.int32), x[..., ::-1]):
        with pytest.raises(TypeError):
            layer.apply(wrong, y, 1)
