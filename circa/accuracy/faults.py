"""Per layer: how often the sign test errs, predicted from the activations by its law and counted in a run.

The prediction needs no randomness: it adds up the law's probabilities (protocols/sign/window.py,
stochastic.py) over the pre-activations of the network without faults. The count is of sign tests in a
simulated run whose bit is not [z >= knot]. They differ by chance, and in later layers because faults before
them move the activations a little.

A value outside its window (it lies beyond the calibrated range and its margin) is no matter of chance: its
sign comes out wrong at one of the knots. The prediction counts that as one fault.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circa.errors import ParameterError
from circa.program import Activate, Program
from circa.protocols.shares import Modulus
from circa.protocols.sign import stochastic
from circa.protocols.sign.window import Window, drelu, fault_probability
from circa.simulate import exact, simulate

from .draws import Drawn, Linears, Progress, chunks
from .windows import tested

__all__ = ["LayerFaults", "fault_rates", "measured", "outside", "predicted"]

Residues = NDArray[np.uint32]
Signed = NDArray[np.int64]
EXACT = ("delphi", "circa-sign")


@dataclass
class LayerFaults:
    """Totals over `images` images; `tests` sign tests in all.

    predicted: expected faults. measured: counted faults. outside: values beyond the window, in the run.
    images_outside: images with at least one of them.
    """

    layer: str
    window: str
    images: int = 0
    tests: int = 0
    predicted: float = 0.0
    measured: int = 0
    outside: int = 0
    images_outside: int = 0

    @property
    def predicted_rate(self) -> float:
        return self.predicted / self.tests

    @property
    def measured_rate(self) -> float:
        return self.measured / self.tests


def fault_rates(
    program: Program, linear: Linears, x: Residues, seed: int, progress: Progress
) -> tuple[list[LayerFaults], int]:
    """One entry for every activation with a sign test, and how many of the images have a value outside a
    window in any layer. x: encoded inputs, uint32 (images, *input shape).
    """
    layers = {op.name: LayerFaults(op.name, _describe(op)) for op in tested(program)}
    images_outside = 0
    for part in chunks(program, len(x)):
        images_outside += _chunk(program, linear, x[part], Drawn(program, part, seed), layers)
        progress(part.stop - part.start)
    return list(layers.values()), images_outside


def _chunk(
    program: Program, linear: Linears, x: Residues, shares: Drawn, layers: dict[str, LayerFaults]
) -> int:
    """Add a chunk of images to the layers; returns how many of them have a value outside a window."""
    readers: dict[int, list[Activate]] = {}
    for op in tested(program):
        readers.setdefault(op.inputs[0], []).append(op)
    leaves = np.zeros(len(x), np.bool_)

    def predict(i: int, z: Residues) -> None:
        for op in readers.get(i, ()):
            layers[op.name].predicted += float(
                (predicted(program, op, _values(program, op, z)) * kept(op)).sum()
            )

    def count(i: int, z: Residues) -> None:
        for op in readers.get(i, ()):
            values, layer = _values(program, op, z), layers[op.name]
            layer.images += len(values)
            layer.tests += len(values) * op.sign_tests
            layer.measured += int((measured(program, op, values, shares[op.name]) * kept(op)).sum())
            beyond = (outside(op, values) & kept(op)).sum((1, 2))
            layer.outside += int(beyond.sum())
            layer.images_outside += int((beyond > 0).sum())
            np.logical_or(leaves, beyond > 0, out=leaves)

    exact(program, linear, x, predict)
    simulate(program, linear, x, shares, count)
    return int(leaves.sum())


def kept(op: Activate) -> NDArray[np.bool_]:
    """Where an activation has its sign tests, (channels, positions)."""
    if op.mask is None:
        return np.ones((1, 1), np.bool_)
    return op.mask.kept(op.shape).reshape(op.shape[0], -1)


def predicted(program: Program, op: Activate, z: Signed) -> NDArray[np.float64]:
    """P[fault], added up over the knots, for pre-activations (batch, channels, positions)."""
    if program.relu in EXACT:
        return np.zeros(z.shape)
    total = np.zeros(z.shape)
    for j, knot in enumerate(op.knots):
        if op.window is None:
            k = op.truncate_bits if program.relu == "circa" else 0
            total += stochastic.fault_probability(z - knot, program.modulus, k, op.mode)
        else:
            total += _window_faults(op.window, z - knot, j)
    return total


def measured(program: Program, op: Activate, z: Signed, z_c: Residues) -> NDArray[np.int64]:
    """Faults of the sign test, added up over the knots, for given client shares."""
    modulus, total = program.modulus, np.zeros(z.shape, np.int64)
    if program.relu in EXACT:
        return total
    for j, knot in enumerate(op.knots):
        z_s = modulus.sub(modulus.encode(z - knot), z_c)
        total += _bit(program, op, modulus, z_s, z_c, j) != (z >= knot)
    return total


def outside(op: Activate, z: Signed) -> NDArray[np.bool_]:
    """Whether a value is beyond its window at any knot; without a window none is."""
    if op.window is None:
        return np.zeros(z.shape, np.bool_)
    low, high = op.window.bounds(op.knots)
    beyond: NDArray[np.bool_] = (z < low[:, None]) | (z > high[:, None])
    return beyond


def _bit(
    program: Program, op: Activate, modulus: Modulus, z_s: Residues, z_c: Residues, knot: int
) -> NDArray[np.uint8]:
    if op.window is not None:
        return drelu(op.window.index_s(z_s), op.window.index_c(z_c), op.window.bits, op.window.cells(knot))
    if program.relu == "circa-stochastic":
        return stochastic.truncated_drelu(modulus, 0, "poszero", z_s, z_c)
    if program.relu != "circa":
        raise ParameterError(f"the sign test of protocol {program.relu!r} is not known here")
    return stochastic.truncated_drelu(modulus, op.truncate_bits, op.mode, z_s, z_c)


def _window_faults(window: Window, z: Signed, knot: int) -> NDArray[np.float64]:
    """The law needs a look only next to zero: |g z| <= W. Channel by channel, as the gains are."""
    gains = np.broadcast_to(np.array(window.gain), (z.shape[1],))
    total = np.zeros(z.shape)
    for c, gain in enumerate(gains.tolist()):
        values = z[:, c]
        near = np.abs(values) <= window.width // gain
        total[:, c][near] = fault_probability(values[near], gain, window.bits, window.mode)
    below, above = window.reach(knot)
    total[(z < -below[:, None]) | (z > above[:, None])] = 1.0
    return total


def _values(program: Program, op: Activate, z: Residues) -> Signed:
    return program.modulus.decode(np.ascontiguousarray(z)).reshape(
        op.activation(program.modulus).shape(len(z))
    )


def _describe(op: Activate) -> str:
    if op.window is None:
        return f"k = {op.truncate_bits} {op.mode}"
    return f"n = {op.window.bits} {op.window.mode}"
