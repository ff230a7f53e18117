"""A converted network as real-valued layers, for another system to run: one .npz without any of our classes.

`steps` is a JSON list of [kind, inputs, options], step i reading the results of earlier steps by index:

    input                                              (images, channels, height, width)
    conv     weight, bias, stride, padding, groups     arrays "<i>.weight" (M, C / groups, kh, kw), "<i>.bias"
    dense                                              arrays (out, in), (out,)
    relu
    pool     kernel, stride, padding, factor           the sum over windows, times the factor
    pad      padding                                   (before, after) for every dimension but the images
    slice    start, stop, step                         likewise
    reshape  shape
    add      factors                                   the sum, each operand times its factor
    concat   dim

Batch normalisation is folded into the convolutions and weights are those that our integers stand for, so both
systems compute the same function.
"""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circa.program import (
    Activate,
    Add,
    Concat,
    Input,
    Linear,
    Operation,
    Pad,
    Pool,
    Program,
    Reshape,
    Scale,
    Slice,
)

from . import PeerError

__all__ = ["export"]

Weights = Mapping[str, NDArray[np.int64]]
Step = tuple[str, tuple[int, ...], dict[str, Any]]


def export(program: Program, weights: Weights) -> bytes:
    """The contents of the .npz. Raises PeerError for a layer that the peers' scripts do not have."""
    steps: list[Step] = []
    arrays: dict[str, Any] = {}
    for i, op in enumerate(program.operations):
        steps.append(_step(program, op))
        if isinstance(op, Linear):
            weight = weights[f"{op.name}.weight"] * 2.0**-op.weight_bits
            bias = weights.get(f"{op.name}.bias")
            arrays[f"{i}.weight"] = weight[:, :, 0, 0] if steps[-1][0] == "dense" else weight
            arrays[f"{i}.bias"] = np.zeros(len(weight)) if bias is None else bias * 2.0**-op.frac_bits
    file = io.BytesIO()
    single = {name: array.astype(np.float32) for name, array in arrays.items()}
    np.savez(file, **{"steps": np.array(json.dumps(steps)), **single})
    return file.getvalue()


def _step(program: Program, op: Operation) -> Step:
    before = [program.operations[i] for i in op.inputs]
    scales = [2.0 ** (operand.frac_bits - op.frac_bits) for operand in before]
    match op:
        case Input():
            return "input", (), {}
        case Linear(geometry=g) if len(op.shape) == 1 and (g.height, g.width) == (1, 1):
            return "dense", op.inputs, {}
        case Linear(geometry=g) if g.dilation == (1, 1):
            return "conv", op.inputs, {"stride": g.stride, "padding": g.padding, "groups": g.groups}
        case Activate() if (op.knots, op.coefs, op.mask, op.square) == ((0,), (1,), None, False):
            return "relu", op.inputs, {}
        case Pool():
            return "pool", op.inputs, {**_windows(op), "factor": scales[0]}
        case Pad():
            return "pad", op.inputs, {"padding": op.padding}
        case Slice():
            return "slice", op.inputs, {"start": op.start, "stop": op.stop, "step": op.step}
        case Reshape():
            return "reshape", op.inputs, {"shape": op.shape}
        case Scale():
            return "add", op.inputs, {"factors": [op.factor * scales[0]]}
        case Add():
            return "add", op.inputs, {"factors": [f * s for f, s in zip(op.factors, scales, strict=True)]}
        case Concat():
            return "concat", op.inputs, {"dim": op.dim}
    raise PeerError(
        f"a peer runs convolutions, ReLUs and pooling, but {op.name} is another {type(op).__name__}"
    )


def _windows(op: Pool) -> dict[str, Any]:
    return {"kernel": op.kernel, "stride": op.stride, "padding": op.padding}
