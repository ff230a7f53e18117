"""A converted network as an `nn.Module` whose forward pass is the private protocol, simulated bit for bit."""

import os
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from circa import container, fixed
from circa.device import DeviceProgram
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
        """Output for a batch of real inputs (batch, *input shape): float64 (batch, *output shape), on x's
        device (the CPU for an array).

        What a private inference returns, its random faults included. client_shares (for every activation by
        name, uint32 (batch, channels, positions)) repeats a session's; without them they are drawn, from
        `generator` (a generator of x's device; torch's default one if None). stochastic=False computes the
        fixed-point network without sign faults instead. Runs a bounded number of images at a time, so any
        batch fits.

        Raises InputError as `encode` does.
        """
        residues = self.encode(x)
        device = x.device if isinstance(x, Tensor) else torch.device("cpu")
        run = self._on_host if device.type == "cpu" else self._on_device
        return torch.from_numpy(self.decode(run(residues, device, client_shares, generator, stochastic))).to(
            device
        )

    def _on_host(
        self,
        residues: Residues,
        device: torch.device,
        client_shares: Mapping[str, Residues] | None,
        generator: torch.Generator | None,
        stochastic: bool,
    ) -> Residues:
        drawn: np.random.Generator | None = None
        if client_shares is None and stochastic:
            drawn = np.random.Generator(np.random.SFC64(int(torch.randint(1 << 62, (), generator=generator))))
        outputs = []
        for part in _chunks(len(residues), chunk_size(self.program)):
            if not stochastic:
                outputs.append(exact(self.program, self.linear, residues[part]))
            else:
                shares = drawn or {name: share[part] for name, share in (client_shares or {}).items()}
                outputs.append(simulate(self.program, self.linear, residues[part], shares))
        return np.concatenate(outputs)

    def _on_device(
        self,
        residues: Residues,
        device: torch.device,
        client_shares: Mapping[str, Residues] | None,
        generator: torch.Generator | None,
        stochastic: bool,
    ) -> Residues:
        program = DeviceProgram(self.program, self.weights, device)
        outputs = []
        for part in _chunks(len(residues), 8 * chunk_size(self.program)):
            x = torch.from_numpy(residues[part].astype(np.int64)).to(device)
            shares: Mapping[str, Residues] | torch.Generator | None = generator
            if client_shares is not None:
                shares = {name: share[part] for name, share in client_shares.items()}
            outputs.append(program.run(x, shares, stochastic).cpu().numpy().astype(np.uint32))
        return np.concatenate(outputs)

    def encode(self, x: Tensor) -> Residues:
        """Real inputs (batch, *input shape) as residues. Raises InputError for anything else
        (circa/fixed.py).
        """
        return fixed.encode_input(self.program, fixed.as_array(x))

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


def _chunks(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]
