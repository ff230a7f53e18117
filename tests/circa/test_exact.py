"""Linear layers on residues: equal to int64 arithmetic, for every geometry, both moduli, extreme values."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from programs import geometry

from circa.errors import ParameterError
from circa.exact import ExactLinear
from circa.exact import layer as layers_of
from circa.exact.doubles import by_doubles
from circa.exact.words import MAX_NORM, by_words
from circa.program import Linear
from circa.protocols import kernels
from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import PRIME31, RING32, Modulus

MODULI = [RING32, PRIME31]


@pytest.fixture(params=["words", "doubles"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name == "doubles":
        monkeypatch.setattr(layers_of, "by_words", lambda *_: None)
    return name


def layer(shape: tuple[int, int, int], out: int, kernel: int = 1, **fields: Any) -> Linear:
    g = geometry(shape, out, kernel, **fields)
    return Linear("fc", (0,), (out, g.out_height, g.out_width), 0, geometry=g, weight_bits=0)


def reference(
    op: Linear,
    weight: NDArray[np.int64],
    bias: NDArray[np.int64] | None,
    x: NDArray[np.uint32],
    modulus: Modulus,
) -> NDArray[np.uint32]:
    """int64 convolution, 8 bits of x at a time, so that no sum leaves 64 bits."""
    g = op.geometry
    top, bottom, left, right = g.padding
    total = np.zeros((x.shape[0], *op.shape), np.uint32)
    for i in range(4):
        digit = torch.from_numpy(((x >> np.uint32(8 * i)) & np.uint32(255)).astype(np.int64))
        digit = torch.nn.functional.pad(digit.reshape(-1, *g.input_shape), (left, right, top, bottom))
        y = torch.nn.functional.conv2d(
            digit, torch.from_numpy(weight), stride=g.stride, dilation=g.dilation, groups=g.groups
        )
        total = modulus.add(total, modulus.encode((y.numpy() << (8 * i)).reshape(total.shape)))
    offsets = np.zeros(g.out_channels, np.int64) if bias is None else bias
    return modulus.add(total, modulus.encode(offsets).reshape(1, -1, *[1] * (len(op.shape) - 1)))


@st.composite
def layers(draw: st.DrawFn) -> Linear:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    c, m = groups * draw(st.integers(1, 9)), groups * draw(st.integers(1, 9))
    h, w = draw(st.integers(3, 9)), draw(st.integers(3, 9))
    kernel = draw(st.integers(1, 3))
    amount = st.integers(0, 2)
    return layer(
        (c, h, w),
        m,
        kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        padding=tuple(draw(amount) for _ in range(4)),
        dilation=(draw(st.integers(1, 2)), draw(st.integers(1, 2))) if min(h, w) > 4 else (1, 1),
        groups=groups,
    )


@given(
    op=layers(),
    modulus=st.sampled_from(MODULI),
    batch=st.integers(1, 3),
    bits=st.integers(1, 15),
    seed=st.integers(0, 2**32),
    has_bias=st.booleans(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equal_to_int64(
    arithmetic: str, op: Linear, modulus: Modulus, batch: int, bits: int, seed: int, has_bias: bool
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-(1 << bits), 1 << bits, op.geometry.weight_shape)
    bias = rng.integers(-(1 << 29), 1 << 29, op.geometry.out_channels) if has_bias else None
    x = rng.integers(0, modulus.value, (batch, *op.geometry.input_shape), dtype=np.uint32)
    y = ExactLinear(op, weight, bias, modulus)(x)
    assert y.dtype == np.uint32
    np.testing.assert_array_equal(y, reference(op, weight, bias, x, modulus))


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("channels", [64, 600, 8192])
@pytest.mark.parametrize(
    ("low", "high"), [(-32768, -32768), (32767, 32767), (-128, -127), (127, 255), (-1, 1)]
)
def test_extreme_values(arithmetic: str, modulus: Modulus, channels: int, low: int, high: int) -> None:
    """Residues at their largest and weights at the ends of a digit's range: the largest sums there are."""
    op = layer((channels, 2, 3), 3)
    weight = np.random.default_rng(1).integers(low, high + 1, op.geometry.weight_shape)
    x = np.full((1, *op.geometry.input_shape), modulus.value - 1, np.uint32)
    x[0, :, 0] = modulus.value // 2
    np.testing.assert_array_equal(
        ExactLinear(op, weight, None, modulus)(x), reference(op, weight, None, x, modulus)
    )


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("bits", [7, 15])
@pytest.mark.parametrize("multiplier", [1, 3])
def test_one_input_channel_a_group(arithmetic: str, modulus: Modulus, bits: int, multiplier: int) -> None:
    op = layer((5, 11, 12), 5 * multiplier, 3, stride=(2, 3), padding=(2, 0, 1, 3), dilation=(2, 1), groups=5)
    rng = np.random.default_rng(6)
    weight = rng.integers(-(1 << bits), 1 << bits, op.geometry.weight_shape)
    x = rng.integers(0, modulus.value, (2, *op.geometry.input_shape), dtype=np.uint32)
    np.testing.assert_array_equal(
        ExactLinear(op, weight, None, modulus)(x), reference(op, weight, None, x, modulus)
    )


@pytest.mark.parametrize("modulus", MODULI)
def test_fully_connected_from_any_shape(modulus: Modulus) -> None:
    rng = np.random.default_rng(2)
    g = geometry((60, 1, 1), 7)
    op = Linear("fc", (0,), (7,), 0, geometry=g, weight_bits=0)
    weight, bias = rng.integers(-99, 99, (7, 60, 1, 1)), rng.integers(-99, 99, 7)
    x = rng.integers(0, modulus.value, (5, 3, 4, 5), dtype=np.uint32)
    y = ExactLinear(op, weight, bias, modulus)(x)
    assert y.shape == (5, 7)
    np.testing.assert_array_equal(y, reference(op, weight, bias, x.reshape(5, -1, 1, 1), modulus))


@pytest.mark.parametrize("modulus", MODULI)
def test_linear_over_the_shares(modulus: Modulus) -> None:
    rng = np.random.default_rng(3)
    op = layer((5, 6, 6), 4, 3)
    weight = rng.integers(-300, 300, op.geometry.weight_shape)
    apply = ExactLinear(op, weight, None, modulus)
    x, x_c = (rng.integers(0, modulus.value, (2, 5, 6, 6), dtype=np.uint32) for _ in range(2))
    x_s = modulus.sub(x, x_c)
    np.testing.assert_array_equal(modulus.add(apply(x_c), apply(x_s)), apply(x))


def test_input_that_is_not_contiguous() -> None:
    rng = np.random.default_rng(4)
    op = layer((4, 5, 6), 4, 3)
    weight = rng.integers(-50, 50, op.geometry.weight_shape)
    x = rng.integers(0, 1 << 32, (6, 5, 4, 2), dtype=np.uint32).transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(
        ExactLinear(op, weight, None, RING32)(x), reference(op, weight, None, np.ascontiguousarray(x), RING32)
    )


def test_weights_that_do_not_fit_are_refused() -> None:
    op = layer((2, 4, 4), 3, 3)
    with pytest.raises(ParameterError, match=r"layer fc: .*\(3, 2, 3, 3\)"):
        ExactLinear(op, np.zeros((3, 2, 3, 2), np.int64), None, RING32)
    with pytest.raises(ParameterError, match=r"layer fc: .*16-bit"):
        ExactLinear(op, np.full((3, 2, 3, 3), 1 << 15), None, RING32)
    with pytest.raises(ParameterError, match="layer fc: a bias"):
        ExactLinear(op, np.zeros((3, 2, 3, 3), np.int64), np.zeros(2, np.int64), RING32)


def test_the_native_kernel_is_used_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    native = kernels.native()
    if native is None or not native.convolution_levels():
        pytest.skip("no native convolution on this machine")
    g = geometry((64, 4, 4), 2)
    for modulus in MODULI:
        assert by_words(g, np.full(g.weight_shape, -32768), None, modulus) is not None
    large = LinearShape.fully_connected(65, 2)
    weight = np.full(large.weight_shape, -32768)
    assert np.abs(weight[0]).sum() > MAX_NORM
    assert by_words(large, weight, None, RING32) is not None
    assert by_words(large, weight, None, PRIME31) is None
    for around, fits in ((1400, True), (1500, False)):
        padded = LinearShape(2, 2, 2, 1, padding=(around,) * 4)
        built = by_words(padded, np.ones(padded.weight_shape, np.int64), None, RING32)
        assert (built is not None) == fits
    monkeypatch.setattr(kernels, "native", lambda: None)
    assert by_words(g, np.ones(g.weight_shape, np.int64), None, RING32) is None


def test_weights_beyond_float64_are_refused() -> None:
    g = LinearShape(1 << 20, 1, 1, 1)
    with pytest.raises(ParameterError, match="1-norm"):
        by_doubles(
            LinearShape(1 << 10, 64, 64, 1, (64, 64)), np.full((1, 1 << 10, 64, 64), -32768), None, RING32
        )
    op = Linear("fc", (0,), (1,), 0, geometry=g, weight_bits=0)
    x = np.full((1, 1 << 20), 0xFFFFFFFF, np.uint32)
    y = ExactLinear(op, np.full((1, 1 << 20, 1, 1), -32768), None, RING32)(x)
    assert y.item() == (1 << 35) % (1 << 32)
