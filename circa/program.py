"""A converted network: operations on integers mod M, in the order in which they run.

A `Program` is the public half of a model (what the client learns: operations, shapes, scales, windows); the
weights are a dictionary of int64 arrays beside it. Operation i reads the results of earlier operations by
index; the last one is the output. Three interpreters run a program: the simulator, the server and the
client (offline, on its own shares).

`shape` is an operation's output for one image, without the batch. `frac_bits` is the scale: a value v
stands for the real number v * 2^-frac_bits. Only activations and `Mul` talk to the peer;
`Linear` has an offline phase; all other operations are linear over the shares and local.
"""

import math
from dataclasses import dataclass, field

from circa.masks import Mask
from circa.protocols.errors import ParameterError
from circa.protocols.linear.shape import LinearShape
from circa.protocols.relu import Activation
from circa.protocols.shares import Modulus
from circa.protocols.sign.window import Window

__all__ = [
    "Activate",
    "Add",
    "Concat",
    "Input",
    "Linear",
    "Operation",
    "Pad",
    "Pool",
    "Program",
    "Reshape",
    "Scale",
    "Select",
    "Slice",
]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """What every operation has: a name (the module path in the user's model), operands, output shape and
    scale.
    """

    name: str
    inputs: tuple[int, ...]
    shape: Shape
    frac_bits: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Input(Operation):
    """The client's input, encoded with `frac_bits`; integers beyond +-`limit` are refused."""

    limit: int = 1 << 29


@dataclass(frozen=True)
class Linear(Operation):
    """Convolution or fully connected layer: W x + bias, weights with `weight_bits` after the point.

    `geometry` takes its input as (in_channels, height, width), whatever the operand's shape. The arrays are
    "<name>.weight", int64 (out_channels, in_channels / groups, kh, kw), and "<name>.bias", int64
    (out_channels,) at the scale of the output. `parameters` names the set of HE parameters.
    """

    geometry: LinearShape
    weight_bits: int
    parameters: str = "B4096"


@dataclass(frozen=True)
class Activate(Operation):
    """sum_j coefs[j] * ReLU(z - knots[j]), then a shift by `shift` bits: the only place that rescales.
    Without knots it is the shift alone, or, with `square`, the square alone, at twice the scale.

    The first dimension of `shape` holds the channels. `window` belongs to the ring protocols,
    `truncate_bits` and `mode` to the published ones; knots are integers at the operand's scale. With a mask
    that is so for the elements it keeps; the others are shifted alone, or zero (masks.py).
    """

    shift: int
    window: Window | None
    truncate_bits: int = 0
    mode: str = "poszero"
    knots: tuple[int, ...] = (0,)
    coefs: tuple[int, ...] = (1,)
    mask: Mask | None = None
    square: bool = False

    @property
    def sign_tests(self) -> int:
        """For one image."""
        return len(self.knots) * (self.elements if self.mask is None else self.mask.count)

    def activation(self, modulus: Modulus) -> Activation:
        """The description that the ReLU protocols take; masked.py splits it by the mask."""
        return Activation(
            modulus=modulus,
            channels=self.shape[0],
            positions=math.prod(self.shape[1:]),
            shift=self.shift,
            window=self.window,
            truncate_bits=self.truncate_bits,
            mode=self.mode,
            knots=self.knots,
            coefs=self.coefs,
        )


@dataclass(frozen=True)
class Pool(Operation):
    """Sum over windows of (channels, height, width); an average is this sum with more fractional bits."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Pad(Operation):
    """Zeros around: (before, after) for every dimension, flattened."""

    padding: tuple[int, ...]


@dataclass(frozen=True)
class Slice(Operation):
    """[start:stop:step] in every dimension, each a tuple of one entry a dimension."""

    start: tuple[int, ...]
    stop: tuple[int, ...]
    step: tuple[int, ...]


@dataclass(frozen=True)
class Reshape(Operation):
    """The same elements in C order under another shape: flatten, view, reshape, squeeze."""


@dataclass(frozen=True)
class Select(Operation):
    """Zero where the mask, whose `others` are "zero", drops an element."""

    mask: Mask


@dataclass(frozen=True)
class Scale(Operation):
    """Multiply by a public integer."""

    factor: int


@dataclass(frozen=True)
class Add(Operation):
    """Sum of the operands, each multiplied by a public integer first (a power of two that aligns the
    scales, or -1).
    """

    factors: tuple[int, ...]


@dataclass(frozen=True)
class Concat(Operation):
    """Join along dimension `dim` (0 is the channels)."""

    dim: int = 0


@dataclass(frozen=True)
class Program:
    """The operations, the modulus of the shares and the name of the ReLU protocol."""

    operations: tuple[Operation, ...]
    modulus: Modulus
    relu: str = "table"
    labels: tuple[str, ...] = field(default=())  # names of the classes, if the model has any

    def __post_init__(self) -> None:
        if len(self.operations) < 2 or not isinstance(self.operations[0], Input):
            raise ParameterError("a program starts with its input and has at least one more operation")
        for i, op in enumerate(self.operations):
            if isinstance(op, Input) != (i == 0) or not all(0 <= j < i for j in op.inputs):
                raise ParameterError(f"operation {i} ({op.name}) reads a value that is not there yet")

    @property
    def input(self) -> Input:
        first = self.operations[0]
        assert isinstance(first, Input)
        return first

    @property
    def output(self) -> Operation:
        return self.operations[-1]

    @property
    def linear(self) -> tuple[Linear, ...]:
        return tuple(op for op in self.operations if isinstance(op, Linear))

    @property
    def activations(self) -> tuple[Activate, ...]:
        return tuple(op for op in self.operations if isinstance(op, Activate))

    @property
    def turns(self) -> tuple[tuple[Activate, Activate | None], ...]:
        """The activations by the round trips that they take online: sign tests, and the rescale of the same
        operand, if it comes next, that goes with them (the two halves of LeakyReLU).
        """
        found: list[tuple[Activate, Activate | None]] = []
        for op in self.activations:
            if found and found[-1][1] is None and _goes_with(op, found[-1][0]):
                found[-1] = found[-1][0], op
            else:
                found.append((op, None))
        return tuple(found)

    def protocol(self, op: Activate) -> str:
        """The name of the protocol that runs an activation: one without knots has no sign test to run."""
        if op.square:
            return "square"
        return self.relu if op.knots else "rescale"

    @property
    def relus(self) -> int:
        """Sign tests for one image."""
        return sum(op.sign_tests for op in self.activations)


def _goes_with(rescale: Activate, before: Activate) -> bool:
    alone = not (rescale.knots or rescale.square)
    return alone and bool(before.knots) and rescale.inputs == before.inputs
