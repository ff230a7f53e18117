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
from circa.exact import bytes as bytes_
from circa.exact import layer as layers_of
from circa.exact.bytes import by_bytes
from circa.exact.digits import EXACT, digit_planes, split_weight
from circa.exact.doubles import by_doubles
from circa.program import Linear
from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import PRIME31, RING32, Modulus

MODULI = [RING32, PRIME31]


@pytest.fixture(params=["bytes", "doubles"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways; the check at construction must not hide an error of the first behind the second."""
    name: str = request.param
    if name == "doubles":
        monkeypatch.setattr(layers_of, "by_bytes", lambda *_: None)
    monkeypatch.setattr(ExactLinear, "_agrees", lambda *_: True)
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


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_where_onednn_is_wrong(batch: int) -> None:
    """One channel a group, stride (1, 2), output of width 1: it shifts rows, and the layer must not."""
    op = layer((2, 4, 3), 4, 2, stride=(1, 2), groups=2)
    rng = np.random.default_rng(0)
    weight = rng.integers(-2, 3, op.geometry.weight_shape)
    x = rng.integers(0, 1 << 32, (batch, 2, 4, 3), dtype=np.uint32)
    np.testing.assert_array_equal(
        ExactLinear(op, weight, None, RING32)(x), reference(op, weight, None, x, RING32)
    )


def test_a_wrong_convolution_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        layers_of, "by_bytes", lambda g, w, m: lambda x: by_doubles(g, w, m)(x) + np.uint32(1)
    )
    op = layer((3, 5, 5), 2, 3)
    rng = np.random.default_rng(0)
    weight = rng.integers(-9, 9, op.geometry.weight_shape)
    x = rng.integers(0, 1 << 32, (1, 3, 5, 5), dtype=np.uint32)
    np.testing.assert_array_equal(
        ExactLinear(op, weight, None, RING32)(x), reference(op, weight, None, x, RING32)
    )


@pytest.mark.parametrize("fault", ["missing", "saturating"])
def test_a_machine_without_exact_bytes(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def missing(g: LinearShape, weight: NDArray[np.int64], padding: tuple[int, int]) -> Any:
        raise AttributeError("no such operator")

    def saturating(g: LinearShape, weight: NDArray[np.int64], padding: tuple[int, int]) -> Any:
        convolve = real(g, weight, padding)
        return lambda digits: convolve(digits).clamp(-(1 << 23), 1 << 23)

    real = bytes_._convolution
    bytes_.available.cache_clear()
    monkeypatch.setattr(bytes_, "_convolution", {"missing": missing, "saturating": saturating}[fault])
    try:
        assert not bytes_.available()
        assert by_bytes(geometry((3, 5, 5), 2, 3), np.ones((2, 3, 3, 3), np.int64), RING32) is None
    finally:
        bytes_.available.cache_clear()


def test_the_way_depends_on_the_weights() -> None:
    if not bytes_.available():
        pytest.skip("this machine has no exact 8-bit convolution")
    g = geometry((64, 4, 4), 2, 3)
    shape = g.weight_shape
    assert by_bytes(g, np.full(shape, 100), RING32) is not None
    assert by_bytes(g, np.full(shape, 32767), RING32) is None


def test_weights_beyond_float64_are_refused() -> None:
    g = LinearShape(1 << 20, 1, 1, 1)
    with pytest.raises(ParameterError, match="1-norm"):
        by_doubles(LinearShape(1 << 10, 64, 64, 1, (64, 64)), np.full((1, 1 << 10, 64, 64), -32768), RING32)
    op = Linear("fc", (0,), (1,), 0, geometry=g, weight_bits=0)
    x = np.full((1, 1 << 20), 0xFFFFFFFF, np.uint32)
    y = ExactLinear(op, np.full((1, 1 << 20, 1, 1), -32768), None, RING32)(x)
    assert y.item() == (1 << 35) % (1 << 32)


@given(st.integers(1, 300), st.integers(1, 15), st.integers(0, 2**32))
@settings(max_examples=30)
def test_parts_add_up_and_stay_exact(channels: int, bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-(1 << bits), 1 << bits, (3, channels, 3, 3))
    total = np.zeros_like(weight)
    for digit, used, values in split_weight(weight):
        assert values.min() >= -128
        assert values.max() <= 127
        assert 255 * np.abs(values).sum(axis=(1, 2, 3)).max() < EXACT
        total[:, used] += values << 8 * digit
    np.testing.assert_array_equal(total, weight)


def test_small_weights_are_one_part() -> None:
    assert len(split_weight(np.full((2, 56, 3, 3), 127))) == 1
    assert len(split_weight(np.full((2, 58, 3, 3), 127))) == 2  # 58 * 9 * 127 * 255 > 2^24
    assert len(split_weight(np.full((2, 4, 3, 3), 128))) == 2
    assert len(split_weight(np.full((2, 4, 3, 3), -128))) == 1
    assert len(split_weight(np.zeros((2, 600, 3, 3), np.int64))) == 1


@pytest.mark.parametrize(("largest", "count"), [(0, 1), (255, 1), (256, 2), (65536, 3), (1 << 24, 4)])
def test_planes_are_as_many_as_the_largest_value_needs(largest: int, count: int) -> None:
    x = np.random.default_rng(0).integers(0, largest + 1, (2, 3, 4, 5), dtype=np.uint32)
    x[1, 2, 3, 4] = largest
    planes = digit_planes(x, (1, 0, 2, 3)).numpy()
    assert planes.shape == (count, 2, 5, 10, 3)
    value = sum(plane.astype(np.uint32) << np.uint32(8 * i) for i, plane in enumerate(planes))
    np.testing.assert_array_equal(value, np.pad(x.transpose(0, 2, 3, 1), ((0, 0), (1, 0), (2, 3), (0, 0))))
