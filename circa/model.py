"""A converted network as an `nn.Module` whose forward pass is the private protocol, simulated bit for bit."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from circa import container, fixed
from circa.exact import ExactLinear
from circa.program import Program
from circa.simulate import chunk_size, exact, simulate

__all__ = ["ConvertedModel"]

Residues = NDArray[np.uint32]


class ConvertedModel(nn.Module):
    """The public program and the secret weights, which stay with whoever holds this object or its file.

    program: operations, shapes, scales, windows (circa/program.py). weights: int64 arrays by "<layer>.weight"
    and "<layer>.bias". Raises ParameterError for weights that do not fit the program. It has no torch
    parameters: the weights are integers, and training happens on the model that was converted.
    """

    def __init__(self, program: Program, weights: Mapping[str, NDArray[np.int64]]) -> None:
        super().__init__()
        container.check_weights(program, weights)
        self.program = program
        self.weights = dict(weights)
        self.linear = {
            op.name: ExactLinear(
                op, weights[f"{op.name}.weight"], weights.get(f"{op.name}.bias"), program.modulus
            )
            for op in program.linear
        }

    def forward(
        self,
        x: Tensor,
        client_shares: Mapping[str, Residues] | None = None,
        generator: torch.Generator | None = None,
        stochastic: bool = True,
    ) -> Tensor:
        """Output for a batch of real inputs (batch, *input shape): float64 (batch, *output shape).

        What a private inference returns, its random faults included. client_shares (for every activation by
        name, uint32 (batch, channels, positions)) repeats a session's; without them they are drawn, from
        `generator` (torch's default one if None). stochastic=False computes the fixed-point network without
        sign faults instead. Runs a bounded number of images at a time, so any batch fits.

        Raises InputError as `encode` does.
        """
        residues = self.encode(x)
        source: Mapping[str, Residues] | np.random.Generator
        if client_shares is None:
            seed = torch.randint(1 << 62, (), generator=generator).item() if stochastic else 0
            source = np.random.Generator(np.random.SFC64(int(seed)))
        else:
            source = client_shares
        outputs = []
        step = chunk_size(self.program)
        for start in range(0, len(residues), step):
            part = slice(start, start + step)
            if not stochastic:
                outputs.append(exact(self.program, self.linear, residues[part]))
                continue
            shares = (
                source
                if isinstance(source, np.random.Generator)
                else {name: share[part] for name, share in source.items()}
            )
            outputs.append(simulate(self.program, self.linear, residues[part], shares))
        return torch.from_numpy(self.decode(np.concatenate(outputs)))

    def encode(self, x: Tensor) -> Residues:
        """Real inputs (batch, *input shape) as residues. Raises InputError for anything else
        (circa/fixed.py).
        """
        return fixed.encode_input(self.program, _array(x))

    def decode(self, residues: Residues) -> NDArray[np.float64]:
        return fixed.decode(self.program, residues)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write program and weights to one .circa file (circa/container.py)."""
        container.save(path, self.program, self.weights)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ConvertedModel":
        """Raises FileError for a damaged, truncated or foreign file."""
        return cls(*container.load(path))

    def extra_repr(self) -> str:
        program = self.program
        return (
            f"{len(program.operations)} operations, {len(program.linear)} linear layers,"
            f" {program.relus} sign tests, relu={program.relu!r}, modulus={program.modulus.value}"
        )


def _array(x: Tensor) -> NDArray[Any]:
    x = x.detach().cpu()
    return (x.float() if x.dtype is torch.bfloat16 else x).numpy()
