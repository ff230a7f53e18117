"""Operations that each party does on its own share: linear maps without constants, modulo M.

    op(x_c) + op(x_s) = op(x_c + x_s)   mod M

so the server, the client and the simulator run the same function, on their share or on the value.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from circa.errors import ParameterError
from circa.program import Add, Concat, Operation, Pad, Pool, Reshape, Scale, Select, Slice
from circa.protocols.shares import Modulus

__all__ = ["run_local"]

Residues = NDArray[np.uint32]


def run_local(op: Operation, operands: Sequence[Residues], modulus: Modulus) -> Residues:
    """The result of a Pool, Pad, Slice, Reshape, Select, Scale, Add or Concat.

    `operands` are residues of shape (batch, *shape of the operand), the result has shape (batch, *op.shape).
    It may be a view of an operand. The program is taken to be valid (`shapes.check_program`).
    """
    x = operands[0]
    match op:
        case Pool():
            return _sum_windows(_sum_windows(x, op, 0, modulus), op, 1, modulus)
        case Pad():
            amounts = zip(op.padding[::2], op.padding[1::2], strict=True)
            return np.pad(x, ((0, 0), *amounts))
        case Slice():
            bounds = zip(op.start, op.stop, op.step, strict=True)
            return x[:, *(slice(*bound) for bound in bounds)]
        case Reshape():
            return x.reshape(x.shape[0], *op.shape)
        case Select():
            return np.where(op.mask.kept(op.shape), x, np.uint32(0))
        case Scale():
            return _times(x, op.factor, modulus)
        case Add():
            total = _times(x, op.factors[0], modulus)
            for other, factor in zip(operands[1:], op.factors[1:], strict=True):
                total = modulus.add(total, _times(other, factor, modulus))
            return total
        case Concat():
            return np.concatenate(operands, axis=op.dim + 1)
    raise ParameterError(f"operation {op.name} ({type(op).__name__}) is not local")


def _times(x: Residues, factor: int, modulus: Modulus) -> Residues:
    if factor == 1:
        return x
    if factor == -1:
        return modulus.neg(x)
    return modulus.mul(x, modulus.encode(np.array(factor)))


def _sum_windows(x: Residues, op: Pool, side: int, modulus: Modulus) -> Residues:
    """Sums along the height (side 0) or the width (side 1); the two together are the sum over the window."""
    axis = side + 2
    kernel, stride, padding = op.kernel[side], op.stride[side], op.padding[side]
    if padding:
        around = [(0, 0)] * 4
        around[axis] = (padding, padding)
        x = np.pad(x, around)
    last = x.shape[axis] - kernel
    total: Residues = x[(slice(None),) * axis + (slice(0, last + 1, stride),)]
    for i in range(1, kernel):
        total = modulus.add(total, x[(slice(None),) * axis + (slice(i, last + i + 1, stride),)])
    return total
