"""Repeatable client shares, and what a program gives for many images.

Every comparison here is between programs that differ in their windows alone. Given the same images and the
same client shares, the difference between two results is the windows' doing; so shares follow from a seed,
the activation's name and the image's place, not from the order in which they are drawn. They hide nothing:
there is no peer.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from circa.exact import ExactLinear
from circa.fixed import decode
from circa.program import Program
from circa.protocols.shares import Modulus
from circa.simulate import Watch, chunk_size, exact, simulate

__all__ = ["Drawn", "Progress", "chunks", "exact_outputs", "outputs"]

Residues = NDArray[np.uint32]
Reals = NDArray[np.float64]
Linears = Mapping[str, ExactLinear]
Progress = Callable[[int], None]  # images done since the last call


class Drawn(Mapping[str, Residues]):
    """The client's shares of every activation of a program for a chunk of images, drawn when asked for."""

    def __init__(self, program: Program, images: slice, seed: int):
        self._shapes = {op.name: op.activation(program.modulus).shape(1)[1:] for op in program.activations}
        self._modulus: Modulus = program.modulus
        self._images = images
        self._seed = seed

    def __getitem__(self, name: str) -> Residues:
        entropy = (self._seed, zlib.crc32(name.encode()), self._images.start)
        generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))
        shape = (self._images.stop - self._images.start, *self._shapes[name])
        return generator.integers(0, self._modulus.value, shape, dtype=np.uint32)

    def __contains__(self, name: object) -> bool:
        return name in self._shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def chunks(program: Program, images: int) -> list[slice]:
    """How the simulator takes that many images."""
    size = chunk_size(program)
    return [slice(start, min(start + size, images)) for start in range(0, images, size)]


def outputs(
    program: Program, linear: Linears, x: Residues, seed: int, progress: Progress, watch: Watch | None = None
) -> Reals:
    """What private inferences return for encoded inputs: float64 (images, *output shape)."""
    results = []
    for part in chunks(program, len(x)):
        results.append(simulate(program, linear, x[part], Drawn(program, part, seed), watch))
        progress(len(results[-1]))
    return decode(program, np.concatenate(results))


def exact_outputs(program: Program, linear: Linears, x: Residues, progress: Progress) -> Reals:
    """The same in fixed point without sign faults: what no choice of windows can change."""
    results = []
    for part in chunks(program, len(x)):
        results.append(exact(program, linear, x[part]))
        progress(len(results[-1]))
    return decode(program, np.concatenate(results))
