"""Programs for the tests: a builder that infers shapes and scales, and one with every local operation."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circa.masks import Mask
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
    Select,
    Slice,
)
from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import RING32, Modulus
from circa.protocols.sign.window import Window
from circa.shapes import infer


class Builder:
    """Appends operations; `shape` and `frac_bits` are inferred where they are not given."""

    def __init__(self, shape: tuple[int, ...], frac_bits: int) -> None:
        self.operations: list[Operation] = [Input("input", (), shape, frac_bits)]

    def add(self, kind: type[Operation], name: str, *inputs: int, **fields: Any) -> int:
        operands = [self.operations[i] for i in inputs]
        declared = {"shape": (), "frac_bits": operands[0].frac_bits, **fields}
        op = kind(name=name, inputs=inputs, **declared)
        shape, frac_bits = infer(op, operands)
        self.operations.append(dataclasses.replace(op, shape=shape, frac_bits=frac_bits))
        return len(self.operations) - 1

    def program(self, modulus: Modulus = RING32, **fields: Any) -> Program:
        return Program(tuple(self.operations), modulus, **fields)


def geometry(shape: tuple[int, int, int], out: int, kernel: int = 1, **fields: Any) -> LinearShape:
    defaults = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
    c, h, w = shape
    return LinearShape(
        in_channels=c, height=h, width=w, out_channels=out, kernel=(kernel, kernel), **(defaults | fields)
    )


def residual(modulus: Modulus = RING32, bits: int = 6, **fields: Any) -> Program:
    """conv - ReLU - (every local operation) - conv - ReLU - pool - fully connected."""
    window = Window(bits, (9, 8, 7, 10), "balanced") if modulus.is_ring else None
    b = Builder((2, 6, 6), 8)
    conv = geometry((2, 6, 6), 4, 3, padding=(1, 1, 1, 1))
    x = b.add(Linear, "conv1", 0, geometry=conv, weight_bits=7)
    act = b.add(Activate, "relu1", x, shift=7, window=window)
    short = b.add(Slice, "short.slice", 0, start=(0, 0, 0), stop=(2, 6, 6), step=(1, 1, 1))
    short = b.add(Pad, "short.pad", short, padding=(1, 1, 0, 0, 0, 0))
    short = b.add(Scale, "short.scale", short, factor=2, frac_bits=9)
    both = b.add(Add, "add", act, short, factors=(2, -1))
    joined = b.add(Concat, "cat", both, both)
    some = np.arange(8 * 36).reshape(8, 6, 6) % 5 > 0
    joined = b.add(Select, "select", joined, mask=Mask.of(some, "zero"))
    conv = geometry((8, 6, 6), 4, 3, padding=(0, 1, 0, 1), stride=(2, 2), groups=2)
    x = b.add(Linear, "conv2", joined, geometry=conv, weight_bits=6)
    x = b.add(Activate, "relu2", x, shift=6, window=window)
    x = b.add(Pool, "pool", x, kernel=(2, 2), stride=(1, 1), frac_bits=11)
    x = b.add(Reshape, "flatten", x, shape=(16,))
    b.add(Linear, "fc", x, geometry=geometry((16, 1, 1), 3), weight_bits=7)
    return b.program(modulus, **({"relu": "table" if modulus.is_ring else "circa"} | fields))


def weights(program: Program, seed: int = 0, bound: int = 40) -> dict[str, NDArray[np.int64]]:
    """Random small weights and biases for every linear layer."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for op in program.linear:
        g = op.geometry
        shape = (g.out_channels, g.in_channels // g.groups, *g.kernel)
        arrays[f"{op.name}.weight"] = rng.integers(-bound, bound + 1, shape)
        arrays[f"{op.name}.bias"] = rng.integers(-(1 << 12), 1 << 12, g.out_channels)
    return arrays
