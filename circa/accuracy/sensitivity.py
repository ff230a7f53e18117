"""What one layer's faults do to the output: the price of fewer bits there.

For a layer and n bits, alone in an otherwise exact network: the mean squared change of the outputs (less
their common shift, which changes no class) over the images. Faults of different layers are independent, so
the changes of several layers add up, nearly; `tuning` takes the sum as its guide and simulates what it picks.

A layer needs the operations after it alone: the exact network advances from layer to layer, and every n
continues from the values that are alive there.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from circa import masked
from circa.fixed import decode
from circa.model import ConvertedModel
from circa.program import Activate, Program
from circa.simulate import exact, exact_activation, run

from .draws import Drawn, Linears, Progress, chunks
from .windows import windowed

__all__ = ["distortions", "layer_bytes"]

Residues = NDArray[np.uint32]


def distortions(
    model: ConvertedModel, x: Residues, bits: Sequence[int], seed: int, progress: Progress
) -> dict[str, dict[int, float]]:
    """{layer: {n: mean squared change of an output}} for encoded inputs. progress: once a layer, n and
    image.
    """
    program, linear = model.program, model.linear
    variants = {n: windowed(program, model.weights, n) for n in bits}
    total: dict[str, dict[int, float]] = {}
    for part in chunks(program, len(x)):
        shares = Drawn(program, part, seed)
        reference = decode(program, exact(program, linear, x[part]))
        values, at = {0: x[part]}, 0
        for i, op in enumerate(program.operations):
            if not isinstance(op, Activate) or not op.sign_tests:
                continue
            values, at = run(program, linear, values, _Faulty(program), start=at, stop=i), i
            for n, variant in variants.items():
                found = _continue(program, linear, values, i, _Faulty(program, variant, op.name, shares))
                change = (found - reference).reshape(len(found), -1)
                change -= change.mean(1, keepdims=True)
                row = total.setdefault(op.name, dict.fromkeys(bits, 0.0))
                row[n] += float((change**2).mean(1).sum()) / len(x)
                progress(len(found))
    return total


def layer_bytes(model: ConvertedModel, bits: Sequence[int]) -> dict[str, dict[int, int]]:
    """{layer: {n: online bytes of the layer for one image, both directions}}, exact."""
    found: dict[str, dict[int, int]] = {}
    for n in bits:
        program = windowed(model.program, model.weights, n)
        for op in program.activations:
            if op.sign_tests:
                cost = masked.protocol(program, op).cost(op.activation(program.modulus), 1).online
                found.setdefault(op.name, {})[n] = cost.down + cost.up
    return found


class _Faulty:
    """Activations without faults, but for one layer's, which runs as in `variant`."""

    def __init__(
        self, program: Program, variant: Program | None = None, name: str = "", shares: Drawn | None = None
    ):
        self._modulus, self._variant, self._name, self._shares = program.modulus, variant, name, shares

    def __call__(self, op: Activate, z: Residues) -> Residues:
        if op.name != self._name or self._variant is None or self._shares is None:
            return exact_activation(op, z, self._modulus)
        changed = next(other for other in self._variant.activations if other.name == op.name)
        act, z_c = changed.activation(self._modulus), self._shares[op.name]
        z_s = self._modulus.sub(z.reshape(z_c.shape), z_c)
        return masked.protocol(self._variant, changed).simulate(act, z_s, z_c)


def _continue(
    program: Program, linear: Linears, values: Mapping[int, Residues], start: int, activate: _Faulty
) -> NDArray[np.float64]:
    last = len(program.operations) - 1
    return decode(program, run(program, linear, values, activate, start=start)[last])
