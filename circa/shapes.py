"""Shape and scale of an operation's result, from its operands: the one place that knows the rules.

The converter asks it while it builds a program; `description.from_json` and the container ask it again about
every operation that comes from a peer or a file, and refuse a program that says otherwise.

Rules for `frac_bits`: a linear layer adds its weight bits, an activation takes away its shift, an addition's
factors align its operands. `Pool` and `Scale` declare how many bits they add (the sum read as an average, the
factor read as factor * 2^-bits), since the integers alone do not say. A linear layer whose output is one
pixel may drop it: (M,).
"""

import math
from collections.abc import Sequence

from circa import masked
from circa.errors import ParameterError
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
from circa.protocols.linear.parameters import parameter_set

__all__ = ["MAX_ELEMENTS", "MAX_FRAC_BITS", "MAX_OPERATIONS", "check_program", "infer"]

Shape = tuple[int, ...]

MAX_OPERATIONS = 10_000
MAX_ELEMENTS = 1 << 28  # of one operation, for one image
MAX_RANK = 8
MAX_FRAC_BITS = 62


def infer(op: Operation, operands: Sequence[Operation]) -> tuple[Shape, int]:
    """Shape and frac_bits of `op`'s result; what `op` itself declares counts only where there is a choice.

    Raises ParameterError, naming the operation, where the operands do not fit.
    """
    if isinstance(op, Input):
        _require(op, not operands, "an input reads no operand")
        _require(op, 0 < op.limit < 1 << 30, f"a limit of {op.limit} is not in 1..2^30 - 1")
        return op.shape, op.frac_bits
    if isinstance(op, Add | Concat):
        _require(op, len(operands) >= 1, "it needs an operand")
        return _add(op, operands) if isinstance(op, Add) else _concat(op, operands)
    _require(op, len(operands) == 1, f"it reads one operand, not {len(operands)}")
    x = operands[0]
    match op:
        case Linear():
            return _linear(op, x), x.frac_bits + op.weight_bits
        case Activate():
            _require(op, 0 <= op.shift < 32, f"a shift of {op.shift} bits is not in 0..31")
            _require(op, len(x.shape) >= 1, "it needs a dimension of channels")
            return x.shape, x.frac_bits * (2 if op.square else 1) - op.shift
        case Pool():
            return _pool(op, x), _declared(op, x)
        case Scale():
            _require(op, 0 < abs(op.factor) < 1 << 31, f"a factor of {op.factor} is zero or too large")
            return x.shape, _declared(op, x)
        case Pad():
            _require(op, len(op.padding) == 2 * len(x.shape), "it needs two amounts for every dimension")
            _require(op, min(op.padding, default=0) >= 0, "a negative amount crops: use a slice")
            around = zip(x.shape, op.padding[::2], op.padding[1::2], strict=True)
            return tuple(n + before + after for n, before, after in around), x.frac_bits
        case Slice():
            return _slice(op, x), x.frac_bits
        case Select():
            _require(op, op.mask.others == "zero", f"what it drops is {op.mask.others}, not zero")
            return x.shape, x.frac_bits
        case Reshape():
            _require(op, op.elements == x.elements, f"{op.elements} elements cannot hold {x.elements}")
            return op.shape, x.frac_bits
    raise ParameterError(f"operation {op.name}: unknown kind {type(op).__name__}")


def check_program(program: Program) -> None:
    """Every operation has the shape and the scale that its operands give it, within the limits, and
    parameters that its protocol takes.

    Raises ParameterError naming the first operation of which that is not so.
    """
    ops = program.operations
    if len(ops) > MAX_OPERATIONS:
        raise ParameterError(f"{len(ops)} operations; at most {MAX_OPERATIONS} are allowed")
    names = set()
    for op in ops:
        _require(op, op.name not in names, "the name is used twice")
        names.add(op.name)
        _require(op, len(op.shape) <= MAX_RANK and min(op.shape, default=1) >= 1, f"bad shape {op.shape}")
        _require(
            op, op.elements <= MAX_ELEMENTS, f"{op.elements} elements; at most {MAX_ELEMENTS} are allowed"
        )
        _require(op, abs(op.frac_bits) <= MAX_FRAC_BITS, f"{op.frac_bits} fractional bits")
        shape, frac_bits = infer(op, [ops[i] for i in op.inputs])
        _require(op, op.shape == shape, f"says shape {op.shape}, its operands give {shape}")
        _require(
            op,
            op.frac_bits == frac_bits,
            f"says {op.frac_bits} fractional bits, its operands give {frac_bits}",
        )
        try:
            if isinstance(op, Activate):
                masked.protocol(program, op).cost(op.activation(program.modulus), 1)
            elif isinstance(op, Select):
                op.mask.kept(op.shape)
            elif isinstance(op, Linear):
                parameter_set(op.parameters)
        except ParameterError as error:
            raise ParameterError(f"operation {op.name}: {error}") from None


def _linear(op: Linear, x: Operation) -> Shape:
    g = op.geometry
    needed = g.in_channels * g.height * g.width
    _require(op, needed == x.elements, f"its geometry reads {needed} elements, its operand has {x.elements}")
    _require(op, 0 <= op.weight_bits < 32, f"{op.weight_bits} weight bits are not in 0..31")
    flat = g.out_height == g.out_width == 1 and len(op.shape) <= 1
    return (g.out_channels,) if flat else (g.out_channels, g.out_height, g.out_width)


def _pool(op: Pool, x: Operation) -> Shape:
    _require(op, len(x.shape) == 3, f"it pools (channels, height, width), not {x.shape}")
    sizes = []
    for n, kernel, stride, padding in zip(x.shape[1:], op.kernel, op.stride, op.padding, strict=True):
        fits = 1 <= kernel <= n + 2 * padding and stride >= 1 and 0 <= padding < kernel
        _require(op, fits, f"kernel {op.kernel}, stride {op.stride}, padding {op.padding} on {x.shape}")
        sizes.append((n + 2 * padding - kernel) // stride + 1)
    return (x.shape[0], *sizes)


def _slice(op: Slice, x: Operation) -> Shape:
    lengths = {len(x.shape), len(op.start), len(op.stop), len(op.step)}
    _require(op, len(lengths) == 1, "it needs one start, stop and step for every dimension")
    sizes = []
    for n, start, stop, step in zip(x.shape, op.start, op.stop, op.step, strict=True):
        _require(op, 0 <= start < stop <= n and step >= 1, f"[{start}:{stop}:{step}] of {n}")
        sizes.append(len(range(start, stop, step)))
    return tuple(sizes)


def _add(op: Add, operands: Sequence[Operation]) -> tuple[Shape, int]:
    _require(op, len(op.factors) == len(operands), f"{len(op.factors)} factors for {len(operands)} operands")
    for factor in op.factors:
        power_of_two = factor and abs(factor) & (abs(factor) - 1) == 0
        _require(op, bool(power_of_two) and abs(factor) < 1 << 31, f"factor {factor} is not a power of two")
    shapes = {x.shape for x in operands}
    _require(op, len(shapes) == 1, f"operands of different shapes: {', '.join(map(str, sorted(shapes)))}")
    scales = {x.frac_bits + int(math.log2(abs(f))) for x, f in zip(operands, op.factors, strict=True)}
    _require(
        op, len(scales) == 1, f"the factors do not align the scales of the operands: {sorted(scales)} bits"
    )
    return shapes.pop(), scales.pop()


def _concat(op: Concat, operands: Sequence[Operation]) -> tuple[Shape, int]:
    _require(op, len({x.frac_bits for x in operands}) == 1, "operands of different scales")
    first = operands[0].shape
    _require(op, 0 <= op.dim < len(first), f"dimension {op.dim} of {first}")
    rests = {(*x.shape[: op.dim], *x.shape[op.dim + 1 :]) for x in operands}
    _require(
        op, len(rests) == 1 and len({len(x.shape) for x in operands}) == 1, "operands of different shapes"
    )
    return (*first[: op.dim], sum(x.shape[op.dim] for x in operands), *first[op.dim + 1 :]), operands[
        0
    ].frac_bits


def _declared(op: Operation, x: Operation) -> int:
    _require(
        op,
        x.frac_bits <= op.frac_bits <= x.frac_bits + 31,
        f"says {op.frac_bits} fractional bits; its operand has {x.frac_bits}, it may add up to 31",
    )
    return op.frac_bits


def _require(op: Operation, condition: bool, message: str) -> None:
    if not condition:
        raise ParameterError(f"operation {op.name}: {message}")
