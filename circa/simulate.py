"""The protocol without the parties: the same integers modulo M, the same law of the sign test, in one
process.

For every activation the client's share z_c is given, or drawn uniformly as the protocol's is, and the ReLU
protocol's own `simulate` says what the two parties would reconstruct. Everything else is exact arithmetic on
the values. Given a session's client shares the result is that session's, bit for bit.

The generator hides nothing here, there is no peer: NumPy's is good enough, and a seed makes a run repeatable.
`exact` is the network in plain fixed point, for comparison: no sign faults, the same rescale floor(z / 2^f).
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from circa import masked
from circa.errors import ParameterError
from circa.exact import ExactLinear
from circa.local import run_local
from circa.program import Activate, Input, Linear, Program
from circa.protocols.shares import Modulus

__all__ = ["chunk_size", "exact", "exact_activation", "given_share", "last_uses", "run", "simulate"]

Residues = NDArray[np.uint32]
Watch = Callable[[int, Residues], None]
LIVE_BYTES = 1 << 23  # of residues alive at a time: what the caches hold


def simulate(
    program: Program,
    linear: Mapping[str, ExactLinear],
    x: Residues,
    client_shares: Mapping[str, Residues] | np.random.Generator,
    watch: Watch | None = None,
) -> Residues:
    """The output's residues, (batch, *output shape), for encoded inputs (batch, *input shape).

    client_shares: for every activation by name uint32 (batch, channels, positions), or a generator that draws
    them. watch: called with the index and the value of every operation, in order. Raises ParameterError where
    a share is missing or has another shape or dtype.
    """

    def activate(op: Activate, z: Residues) -> Residues:
        protocol = masked.protocol(program, op)
        act = op.activation(program.modulus)
        z = z.reshape(act.shape(z.shape[0]))
        if isinstance(client_shares, np.random.Generator):
            z_c = client_shares.integers(0, program.modulus.value, z.shape, dtype=np.uint32)
        else:
            z_c = given_share(client_shares, op.name, z.shape)
        return protocol.simulate(act, program.modulus.sub(z, z_c), z_c)

    return _run(program, linear, x, activate, watch)


def exact(
    program: Program, linear: Mapping[str, ExactLinear], x: Residues, watch: Watch | None = None
) -> Residues:
    """The same network with every sign test right: sum_j coefs_j [z_j >= 0] floor(z_j / 2^f)."""
    modulus = program.modulus

    return _run(program, linear, x, lambda op, z: exact_activation(op, z, modulus), watch)


def exact_activation(op: Activate, z: Residues, modulus: Modulus) -> Residues:
    """One activation of `exact`."""
    if op.square:
        return modulus.mul(z, z)
    signed = modulus.decode(z)
    total = np.zeros_like(signed) if op.knots else signed >> op.shift
    for knot, coef in zip(op.knots, op.coefs, strict=True):
        total += coef * (np.maximum(signed - knot, 0) >> op.shift)
    if op.mask is not None:
        kept = op.mask.kept(op.shape)
        total = np.where(kept, total, signed >> op.shift if op.mask.others == "identity" else 0)
    return modulus.encode(total)


def chunk_size(program: Program) -> int:
    """How many images to run at a time, so that the live residues stay within LIVE_BYTES."""
    last_use = last_uses(program)
    live = peak = 0
    for i, op in enumerate(program.operations):
        live += op.elements
        peak = max(peak, live)
        live -= sum(program.operations[j].elements for j in set(op.inputs) if last_use[j] == i)
    return max(1, LIVE_BYTES // (4 * peak))


def _run(
    program: Program,
    linear: Mapping[str, ExactLinear],
    x: Residues,
    activate: Callable[[Activate, Residues], Residues],
    watch: Watch | None,
) -> Residues:
    return run(program, linear, {0: x}, activate, watch)[len(program.operations) - 1]


def run(
    program: Program,
    linear: Mapping[str, ExactLinear],
    values: Mapping[int, Residues],
    activate: Callable[[Activate, Residues], Residues],
    watch: Watch | None = None,
    start: int = 0,
    stop: int | None = None,
) -> dict[int, Residues]:
    """Operations start to stop - 1, by index, on the values that are alive before them (the input is {0: x});
    returns the values that are alive after them. What was computed once need not be computed again.
    """
    last_use = last_uses(program)
    values = dict(values)
    for i, op in list(enumerate(program.operations))[start:stop]:
        operands = [values[j] for j in op.inputs]
        if isinstance(op, Input):
            value = values[i]
        elif isinstance(op, Linear):
            value = linear[op.name](operands[0])
        elif isinstance(op, Activate):
            value = activate(op, operands[0]).reshape(len(operands[0]), *op.shape)
        else:
            value = run_local(op, operands, program.modulus)
        values[i] = value
        if watch is not None:
            watch(i, value)
        for j in set(op.inputs):
            if last_use[j] == i:
                del values[j]
    return values


def last_uses(program: Program) -> dict[int, int]:
    """For every operation that is read: the index of the last one that reads it."""
    return {j: i for i, op in enumerate(program.operations) for j in op.inputs}


def given_share(shares: Mapping[str, Residues], name: str, shape: tuple[int, ...]) -> Residues:
    """shares[name]; raises ParameterError where it is missing or does not fit."""
    if name not in shares:
        raise ParameterError(f"no client share for activation {name}")
    share = shares[name]
    if share.shape != shape or share.dtype != np.uint32:
        raise ParameterError(
            f"client share of {name}: expected uint32 {shape}, got {share.dtype} {share.shape}"
        )
    return share
