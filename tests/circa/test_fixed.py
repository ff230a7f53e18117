"""Encoding of inputs: to the nearest integer, and nothing passes that the protocol could not carry."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from programs import residual

from circa.errors import InputError
from circa.fixed import as_array, decode, encode_input
from circa.program import Input, Program
from circa.protocols.shares import PRIME31, RING32, Modulus


@given(
    hnp.arrays(np.float64, (2, 2, 6, 6), elements=st.floats(-1000, 1000)), st.sampled_from([RING32, PRIME31])
)
def test_within_half_a_unit(x: np.ndarray, modulus: Modulus) -> None:
    program = residual(modulus)
    signed = modulus.decode(encode_input(program, x))
    assert np.abs(signed * 2.0**-8 - x).max() <= 2.0**-9


def test_decode_uses_the_scale_of_the_output() -> None:
    program = residual()
    assert program.output.frac_bits == 18
    residues = np.array([[1 << 18, (1 << 32) - (1 << 17), 3]], np.uint32)
    np.testing.assert_array_equal(decode(program, residues), [[1.0, -0.5, 3 * 2.0**-18]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_real_dtype(dtype: type) -> None:
    x = np.full((1, 2, 6, 6), 0.5, dtype)
    assert (encode_input(residual(), x) == 128).all()


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.zeros((1, 2, 6, 5)), r"expected an input of shape \(batch, 2, 6, 6\), got \(1, 2, 6, 5\)"),
        (np.zeros((2, 6, 6)), "shape"),
        (np.zeros(()), "shape"),
        (np.zeros((0, 2, 6, 6)), "shape"),
        (np.zeros((1, 2, 6, 6), np.int64), "int64"),
        (np.zeros((1, 2, 6, 6), np.uint8), "uint8"),
        (np.zeros((1, 2, 6, 6), np.complex64), "complex64"),
        (np.zeros((1, 2, 6, 6), bool), "bool"),
        (np.full((1, 2, 6, 6), np.nan), "NaN"),
        (np.full((1, 2, 6, 6), -np.inf), "infinity"),
        (np.full((1, 2, 6, 6), 3e6), "beyond 2.09715e"),
        (np.full((1, 2, 6, 6), -1e300), "beyond"),
    ],
)
def test_bad_inputs(x: np.ndarray, match: str) -> None:
    with pytest.raises(InputError, match=match):
        encode_input(residual(), x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_tensor_of_every_real_dtype(dtype: torch.dtype) -> None:
    x = torch.full((1, 2), 0.5, dtype=dtype, requires_grad=True)
    assert as_array(x).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (None, "not a NoneType"),
        ("0.5", "not a str"),
        ({"x": 0.5}, "not a dict"),
        (np.array([0.5, None]), r"not a ndarray \(dtype object\)"),
        ([[0.5], [0.5, 0.5]], "not this list"),
        (torch.ones(2).to_sparse(), r"not this Tensor: .*to_dense"),
    ],
)
def test_what_is_no_input(x: object, match: str) -> None:
    with pytest.raises(InputError, match=f"a dense tensor or an array of floating-point numbers, {match}"):
        as_array(x)


def test_the_limit_is_the_largest_value() -> None:
    program = residual()
    entry = dataclasses.replace(program.input, limit=256)
    assert isinstance(entry, Input)
    limited = Program((entry, *program.operations[1:]), program.modulus)
    assert (encode_input(limited, np.full((1, 2, 6, 6), -1.0)) == (1 << 32) - 256).all()
    with pytest.raises(InputError, match="beyond 1;"):
        encode_input(limited, np.full((1, 2, 6, 6), 1.004))
