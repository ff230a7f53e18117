"""Fixed point: real numbers to residues and back. The only place that knows what an integer stands for.

A real x becomes the integer nearest to x * 2^frac_bits. The client checks its input here, before anything is
sent; the simulator uses the same functions.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from circa.errors import InputError
from circa.program import Program

__all__ = ["as_array", "decode", "encode_input"]

Residues = NDArray[np.uint32]
_WANTED = "an input is a dense tensor or an array of floating-point numbers"


def as_array(x: Any) -> NDArray[Any]:
    """The numbers of a tensor, an array or a nested list. Raises InputError for anything else."""
    try:
        if isinstance(x, torch.Tensor):
            x = (x.double() if x.is_floating_point() else x).detach().cpu().numpy()  # NumPy has no bfloat16
        array = np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{_WANTED}, not this {type(x).__name__}: {error}") from error
    if array.dtype.kind not in "biufc":
        raise InputError(f"{_WANTED}, not a {type(x).__name__} (dtype {array.dtype})")
    return array


def encode_input(program: Program, x: NDArray[np.floating[Any]]) -> Residues:
    """A batch of real inputs, (batch, *input shape), as residues of the same shape.

    Raises InputError for another shape, another dtype than a real floating one, a value that is not finite,
    and one whose integer exceeds the input's limit.
    """
    entry = program.input
    wanted = f"(batch, {', '.join(map(str, entry.shape))})"
    if x.ndim < 1 or x.shape[1:] != entry.shape or x.shape[0] < 1:
        raise InputError(f"expected an input of shape {wanted}, got {x.shape}")
    if x.dtype.kind != "f":
        raise InputError(
            f"expected floating-point inputs, got {x.dtype}; convert and normalise as for training"
        )
    scaled = np.rint(x.astype(np.float64) * 2.0**entry.frac_bits)
    if not np.isfinite(scaled).all():
        raise InputError("the input holds NaN or infinity")
    if np.abs(scaled).max() > entry.limit:
        largest = entry.limit * 2.0**-entry.frac_bits
        raise InputError(f"the input holds values beyond {largest:g}; normalise it as for training")
    return program.modulus.encode(scaled.astype(np.int64))


def decode(program: Program, residues: Residues) -> NDArray[np.float64]:
    """The program's output, (batch, *output shape), as real numbers."""
    return program.modulus.decode(residues).astype(np.float64) * 2.0**-program.output.frac_bits
