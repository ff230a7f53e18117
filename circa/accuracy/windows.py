"""The same network with other windows, or with Circa's truncated sign test, without a new conversion.

Weights and scales do not depend on the sign test, so nothing else changes. A window's gains follow from the
range that it has to hold: the converter stores it, margin included, as "<activation>.range" beside the
weights.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from circa.converter.windows import fill
from circa.errors import ParameterError
from circa.model import ConvertedModel
from circa.program import Activate, Program
from circa.protocols.relu import WINDOWED
from circa.protocols.sign.stochastic import check_truncation
from circa.protocols.sign.window import MODES

__all__ = ["tested", "truncated", "windowed", "with_truncation", "with_windows"]

TABLE_BITS = 8
Arrays = Mapping[str, NDArray[np.int64]]


def with_windows(
    model: ConvertedModel, bits: int | Mapping[str, int] | None = None, mode: str | None = None
) -> ConvertedModel:
    """The model with windows of other bits and fault mode, filled as a conversion fills them.

    bits: n for all activations, or a dictionary from activation names to their n; what is not named keeps its
    own. Raises ParameterError for an unknown name or mode, for bits outside the protocol's range, and where
    the model's shares are not modulo 2^32.
    """
    return ConvertedModel(windowed(model.program, model.weights, bits, mode), model.weights)


def with_truncation(model: ConvertedModel, truncate_bits: int, mode: str = "poszero") -> ConvertedModel:
    """The model with Circa's published sign test, k truncated bits, "poszero" or "negpass".

    Raises ParameterError as `check_truncation` does.
    """
    return ConvertedModel(truncated(model.program, truncate_bits, mode), model.weights)


def windowed(
    program: Program, arrays: Arrays, bits: int | Mapping[str, int] | None = None, mode: str | None = None
) -> Program:
    """`with_windows` on the program alone; `arrays` holds the ranges."""
    if not program.modulus.is_ring:
        raise ParameterError("a window needs shares modulo 2^32: convert the model again with the ring")
    relu = program.relu if program.relu in WINDOWED else "table"
    if mode is not None and mode not in MODES:
        raise ParameterError(f"unknown fault mode {mode!r}; modes: {', '.join(MODES)}")
    if isinstance(bits, Mapping):
        _check_names(program, bits)

    def change(op: Activate) -> Activate:
        own = op.window
        n = bits.get(op.name) if isinstance(bits, Mapping) else bits
        if n is None and own is None:
            raise ParameterError(f"{op.name}: it has no window yet, so say how many bits it shall have")
        n = n if n is not None else own.bits  # type: ignore[union-attr]
        most = TABLE_BITS if relu == "table" else 16
        if not 2 <= n <= most:
            raise ParameterError(f"{op.name}: a window of protocol {relu!r} has 2 to {most} bits, not {n}")
        window = fill(limits(op, arrays), op.knots, n, mode or (own.mode if own else "balanced"), relu)
        return dataclasses.replace(op, window=window, truncate_bits=0, mode="poszero")

    return _changed(program, relu, change)


def truncated(program: Program, truncate_bits: int, mode: str) -> Program:
    """`with_truncation` on the program alone."""
    check_truncation(program.modulus, truncate_bits, mode)
    return _changed(
        program,
        "circa",
        lambda op: dataclasses.replace(op, window=None, truncate_bits=truncate_bits, mode=mode),
    )


def limits(op: Activate, arrays: Arrays) -> NDArray[np.int64]:
    """What the window shall hold, int64 (2, channels) or (2, 1): the least and the largest z."""
    stored = arrays.get(f"{op.name}.range")
    if stored is None:
        raise ParameterError(f"{op.name}: the file holds no range for a window: convert the model again")
    return stored


def tested(program: Program) -> tuple[Activate, ...]:
    """The activations that have a sign test; the others only rescale."""
    return tuple(op for op in program.activations if op.sign_tests)


def _changed(program: Program, relu: str, change: Callable[[Activate], Activate]) -> Program:
    operations = tuple(
        change(op) if isinstance(op, Activate) and op.sign_tests else op for op in program.operations
    )
    return dataclasses.replace(program, operations=operations, relu=relu)


def _check_names(program: Program, bits: Mapping[str, int]) -> None:
    known = {op.name for op in tested(program)}
    if unknown := sorted(bits.keys() - known):
        raise ParameterError(
            f"no activation is named {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )
