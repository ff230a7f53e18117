"""Packing against its definition: value i at bits [i w, (i + 1) w) of one long little-endian number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circa.protocols.errors import ParameterError
from circa.protocols.packing import pack, pack_bits, packed_size, unpack, unpack_bits
from circa.protocols.prg import Prg


def as_number(values: list[int], width: int) -> bytes:
    number = sum(value << i * width for i, value in enumerate(values))
    return number.to_bytes((len(values) * width + 7) // 8, "little")


def draw(count: int, width: int) -> np.ndarray:
    values = Prg(bytes(16)).uint64(count)
    return values >> np.uint64(64 - width)


@pytest.mark.parametrize("width", range(1, 65))
def test_every_width_is_the_definition(width):
    for count in (0, 1, 7, 8, 9, 41):
        values = draw(count, width)
        packed = pack(values, width)
        assert packed.dtype == np.uint8
        assert packed.tobytes() == as_number(values.tolist(), width)
        assert packed.size == packed_size(count, width)
        assert np.array_equal(unpack(packed, count, width), values)


@given(
    st.integers(1, 32), st.lists(st.integers(0, (1 << 32) - 1), max_size=40), st.sampled_from(["u4", "u8"])
)
def test_round_trip_from_any_dtype(width, values, dtype):
    array = np.array(values, dtype) & np.dtype(dtype).type((1 << width) - 1)
    assert pack(array, width).tobytes() == as_number(array.tolist(), width)
    assert np.array_equal(unpack(pack(array, width), array.size, width), array)


def test_shapes_are_flattened_in_c_order():
    values = draw(24, 5).reshape(2, 3, 4)
    assert np.array_equal(pack(values, 5), pack(values.reshape(-1), 5))
    assert np.array_equal(pack(values.transpose(2, 0, 1), 5), pack(values.transpose(2, 0, 1).reshape(-1), 5))


@given(st.lists(st.integers(0, 1), max_size=40))
def test_bits(bits):
    array = np.array(bits, np.uint8)
    assert pack_bits(array).tobytes() == as_number(bits, 1)
    assert np.array_equal(unpack_bits(pack_bits(array), len(bits)), array)


@pytest.mark.parametrize("width", [0, -1, 65])
def test_a_width_outside_1_to_64_is_refused(width):
    with pytest.raises(ParameterError, match="1 to 64 bits"):
        pack(np.zeros(3, np.uint64), width)
    with pytest.raises(ParameterError, match="1 to 64 bits"):
        unpack(np.zeros(3, np.uint8), 3, width)


@pytest.mark.parametrize("size", [0, 5, 7])
@pytest.mark.parametrize("width", [1, 6, 8])
def test_a_wrong_size_is_refused(size, width):
    count = 48 // width
    with pytest.raises(ParameterError, match=f"{count} values of {width} bits take 6 bytes, got {size}"):
        unpack(np.zeros(size, np.uint8), count, width)
