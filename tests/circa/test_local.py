"""Local operations: equal to torch on small integers, and linear over the shares for both moduli."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from programs import Builder

from circa.errors import ParameterError
from circa.local import run_local
from circa.masks import Mask
from circa.program import Activate, Add, Concat, Operation, Pad, Pool, Reshape, Scale, Select, Slice
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31, RING32, Modulus, share

MODULI = st.sampled_from([RING32, PRIME31])
small = st.integers(1, 4)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Operation, tuple[int, int, int]]:
    """One local operation, and the shape (c, h, w) of its operands."""
    shape = (draw(small), draw(st.integers(3, 7)), draw(st.integers(3, 7)))
    b = Builder(shape, 3)
    kind = draw(st.sampled_from([Pool, Pad, Slice, Reshape, Select, Scale, Add, Concat]))
    if kind is Pool:
        kernel = (draw(st.integers(1, shape[1])), draw(st.integers(1, shape[2])))
        padding = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
        b.add(Pool, "op", 0, kernel=kernel, stride=(draw(small), draw(small)), padding=padding)
    elif kind is Pad:
        b.add(Pad, "op", 0, padding=tuple(draw(st.integers(0, 3)) for _ in range(6)))
    elif kind is Slice:
        start = tuple(draw(st.integers(0, n - 1)) for n in shape)
        stop = tuple(draw(st.integers(first + 1, n)) for first, n in zip(start, shape, strict=True))
        b.add(Slice, "op", 0, start=start, stop=stop, step=(draw(small), draw(small), draw(small)))
    elif kind is Reshape:
        b.add(Reshape, "op", 0, shape=(shape[0] * shape[1], shape[2]))
    elif kind is Select:
        some = np.random.default_rng(draw(st.integers(0, 9))).random(shape) < 0.5
        some[0, 0, 0] = False
        b.add(Select, "op", 0, mask=Mask.of(some, "zero"))
    elif kind is Scale:
        b.add(Scale, "op", 0, factor=draw(st.sampled_from([-1, 2, 1, -5, 1 << 30])))
    elif kind is Add:
        b.add(Add, "op", 0, 0, 0, factors=tuple(draw(st.sampled_from([4, -4])) for _ in range(3)))
    else:
        b.add(Concat, "op", 0, 0, dim=draw(st.integers(0, 2)))
    return b.operations[1], shape


def expected(op: Operation, xs: list[torch.Tensor]) -> torch.Tensor:
    match op:
        case Pool():
            return torch.nn.functional.avg_pool2d(
                xs[0].double(), op.kernel, op.stride, op.padding, divisor_override=1
            ).long()
        case Pad():
            pairs = list(zip(op.padding[::2], op.padding[1::2], strict=True))[::-1]
            return torch.nn.functional.pad(xs[0], [amount for pair in pairs for amount in pair])
        case Slice():
            index = [slice(*bounds) for bounds in zip(op.start, op.stop, op.step, strict=True)]
            return xs[0][(slice(None), *index)]
        case Reshape():
            return xs[0].reshape(-1, *op.shape)
        case Select():
            return xs[0] * torch.from_numpy(op.mask.kept(op.shape))
        case Scale():
            return xs[0] * op.factor
        case Add():
            return torch.stack([x * factor for x, factor in zip(xs, op.factors, strict=True)]).sum(0)
        case Concat():
            return torch.cat(xs, op.dim + 1)
    raise AssertionError(op)


@given(cases(), MODULI, st.integers(1, 3), st.integers(0, 2**32))
@settings(max_examples=200)
def test_equal_to_torch_and_linear_over_the_shares(
    case: tuple[Operation, tuple[int, int, int]], modulus: Modulus, batch: int, seed: int
) -> None:
    op, shape = case
    rng, prg = np.random.default_rng(seed), Prg(seed.to_bytes(16, "little"))
    values = [rng.integers(-(1 << 20), 1 << 20, (batch, *shape)) for _ in op.inputs]
    shares = [share(modulus.encode(v), prg, modulus) for v in values]
    want = expected(op, [torch.from_numpy(v) for v in values]).numpy()
    results = [run_local(op, [pair[i] for pair in shares], modulus) for i in (0, 1)]
    assert all(result.dtype == np.uint32 and result.shape == (batch, *op.shape) for result in results)
    np.testing.assert_array_equal(modulus.add(*results), modulus.encode(want))
    if not modulus.is_ring:
        assert all(int(result.max()) < modulus.value for result in results)


@pytest.mark.parametrize("modulus", [RING32, PRIME31])
def test_values_near_the_modulus_wrap(modulus: Modulus) -> None:
    b = Builder((1, 2, 2), 0)
    b.add(Pool, "pool", 0, kernel=(2, 2), stride=(2, 2))
    x: NDArray[np.uint32] = np.full((1, 1, 2, 2), modulus.value - 1, np.uint32)
    assert run_local(b.operations[1], [x], modulus).item() == modulus.value - 4


def test_other_operations_are_refused() -> None:
    b = Builder((1, 2, 2), 0)
    b.add(Activate, "relu", 0, shift=0, window=None)
    with pytest.raises(ParameterError, match=r"relu \(Activate\) is not local"):
        run_local(b.operations[1], [np.zeros((1, 1, 2, 2), np.uint32)], RING32)
