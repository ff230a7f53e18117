"""The simulator on a torch device: what `simulate.py` computes, bit for bit, on a GPU.

Values are int64 residues. Linear layers are float64 matrix products over unfolded images: exact while no sum
exceeds 2^52, and never a library convolution, which might use a transform. The law of the window protocols is
written out here; the others' is fetched from the protocol itself, through the host.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circa import masked
from circa.errors import ParameterError
from circa.exact.doubles import LARGEST, reduce
from circa.masks import Mask
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
from circa.protocols.relu import WINDOWED, Activation
from circa.protocols.relu.truncation import offset
from circa.protocols.shares import Modulus
from circa.simulate import given_share, last_uses

__all__ = ["DeviceProgram"]


class DeviceProgram:
    """A program with its weights on a device."""

    def __init__(
        self, program: Program, weights: Mapping[str, NDArray[np.int64]], device: torch.device
    ) -> None:
        self.program = program
        self.device = device
        self._weights = {name: torch.from_numpy(array).to(device) for name, array in weights.items()}

    def run(
        self,
        x: Tensor,
        client_shares: Mapping[str, NDArray[np.uint32]] | torch.Generator | None = None,
        stochastic: bool = True,
    ) -> Tensor:
        """int64 residues (batch, *output shape) for encoded inputs (batch, *input shape) on the device.

        client_shares as for `simulate.simulate`, or the device's generator that draws them (None: torch's
        default one).
        """
        program, uses = self.program, last_uses(self.program)
        values: dict[int, Tensor] = {}
        for i, op in enumerate(program.operations):
            operands = [values[j] for j in op.inputs]
            if isinstance(op, Input):
                value = x
            elif isinstance(op, Linear):
                value = self._linear(op, operands[0])
            elif isinstance(op, Activate):
                act = op.activation(program.modulus)
                z = operands[0].reshape(act.shape(len(x)))
                if stochastic or op.square:
                    value = self._activate(op, act, z, client_shares).reshape(len(x), *op.shape)
                else:
                    value = exact(act, z).reshape(len(x), *op.shape)
                    if op.mask is not None:
                        others = (signed(operands[0], program.modulus) >> op.shift) % program.modulus.value
                        value = choose(op, op.mask, value, others)
            else:
                value = run_local(op, operands, program.modulus)
            values[i] = value
            for j in set(op.inputs):
                if uses[j] == i:
                    del values[j]
        return value

    def _linear(self, op: Linear, x: Tensor) -> Tensor:
        g, modulus = op.geometry, self.program.modulus
        weight = self._weights[f"{op.name}.weight"]
        kernel = weight.double().view(g.groups, g.out_channels // g.groups, -1)
        top, bottom, left, right = g.padding

        def product(limb: Tensor) -> Tensor:
            image = torch.nn.functional.pad(
                limb.double().reshape(-1, *g.input_shape), (left, right, top, bottom)
            )
            columns = torch.nn.functional.unfold(image, g.kernel, g.dilation, 0, g.stride)
            return reduce(kernel @ columns.view(len(x), g.groups, kernel.shape[2], -1), modulus)

        if int(weight.abs().sum(dim=(1, 2, 3)).max()) << 32 <= LARGEST:
            total = product(x).long()
        else:
            total = (product(x >> 16).long() << 16) + product(x & 0xFFFF).long()
        total = total.view(len(x), g.out_channels, -1)
        if f"{op.name}.bias" in self._weights:
            total = total + self._weights[f"{op.name}.bias"][:, None]
        return total.remainder(modulus.value).view(len(x), *op.shape)

    def _activate(
        self,
        op: Activate,
        act: Activation,
        z: Tensor,
        shares: Mapping[str, NDArray[np.uint32]] | torch.Generator | None,
    ) -> Tensor:
        modulus = act.modulus.value
        if op.square:
            signed_z = signed(z, act.modulus)
            return (signed_z * signed_z).remainder(modulus)
        if isinstance(shares, Mapping):
            z_c = torch.from_numpy(given_share(shares, op.name, tuple(z.shape)).astype(np.int64)).to(
                self.device
            )
        else:
            z_c = torch.randint(modulus, z.shape, generator=shares, device=self.device)
        z_s = (z - z_c).remainder(modulus)
        if self.program.protocol(op) in WINDOWED:
            y = window_relu(act, z_s, z_c)
            if op.mask is not None:
                others = rescaled(act.modulus, act.shift, z_s, z_c).remainder(modulus)
                y = choose(op, op.mask, y, others)
            return y
        host = (part.cpu().numpy().astype(np.uint32) for part in (z_s, z_c))
        result = masked.protocol(self.program, op).simulate(act, *host)
        return torch.from_numpy(result.astype(np.int64)).to(self.device)


def choose(op: Activate, mask: Mask, y: Tensor, others: Tensor) -> Tensor:
    """y where the mask keeps the sign test, elsewhere `others` or zero."""
    kept = torch.from_numpy(mask.kept(op.shape)).to(y.device).reshape(y.shape[1:])
    return torch.where(kept, y, others if mask.others == "identity" else 0)


def window_relu(act: Activation, z_s: Tensor, z_c: Tensor) -> Tensor:
    """relu.simulate.window_relu on tensors of int64 residues."""
    window, modulus = act.window, act.modulus.value
    if window is None:
        raise ParameterError("a window protocol needs a window")
    n, mask, cells = window.bits, (1 << 32) - 1, (1 << window.bits) - 1
    gain = torch.tensor(window.gain, dtype=torch.int64, device=z_s.device)[:, None]
    t = ((gain * z_c + window.delta) & mask) >> (32 - n)
    y = torch.zeros_like(z_s)
    for j, (knot, coef) in enumerate(zip(act.knots, act.coefs, strict=True)):
        z_j = (z_s - knot).remainder(modulus)
        a = (gain * z_j & mask) >> (32 - n)
        P = torch.from_numpy(window.cells(j).astype(np.int64)).to(z_s.device)
        y += coef * (a + t & cells < P) * rescaled(act.modulus, act.shift, z_j, z_c)
    return y.remainder(modulus)


def rescaled(modulus: Modulus, shift: int, z_s: Tensor, z_c: Tensor) -> Tensor:
    """relu.simulate.rescaled on tensors, up to a multiple of M."""
    if not shift:
        return (z_s + z_c).remainder(modulus.value)
    o, q, half = offset(modulus, shift), modulus.value >> shift, (modulus.value + 1) // 2
    moved = (z_c + o).remainder(modulus.value)
    both = (moved < half) & (z_s < half)
    return (z_s >> shift) + (moved >> shift) - (o >> shift) - q + q * both


def exact(act: Activation, z: Tensor) -> Tensor:
    """simulate.exact's activation: every sign test right."""
    modulus = act.modulus.value
    value = signed(z, act.modulus)
    total = torch.zeros_like(value) if act.knots else value >> act.shift
    for knot, coef in zip(act.knots, act.coefs, strict=True):
        total += coef * ((value - knot).clamp(min=0) >> act.shift)
    return total.remainder(modulus)


def signed(z: Tensor, modulus: Modulus) -> Tensor:
    """Residues as signed integers."""
    return torch.where(z >= (modulus.value + 1) // 2, z - modulus.value, z)


def run_local(op: Operation, operands: Sequence[Tensor], modulus: Modulus) -> Tensor:
    """local.run_local on tensors of int64 residues."""
    x = operands[0]
    match op:
        case Pool():
            (top, left), batch = op.padding, len(x)
            image = torch.nn.functional.pad(x, (left, left, top, top))
            windows = image.unfold(2, op.kernel[0], op.stride[0]).unfold(3, op.kernel[1], op.stride[1])
            return windows.sum(dim=(4, 5)).remainder(modulus.value).view(batch, *op.shape)
        case Pad():
            pairs = list(zip(op.padding[::2], op.padding[1::2], strict=True))
            return torch.nn.functional.pad(x, [amount for pair in reversed(pairs) for amount in pair])
        case Slice():
            bounds = zip(op.start, op.stop, op.step, strict=True)
            return x[:, *(slice(*bound) for bound in bounds)]
        case Reshape():
            return x.reshape(len(x), *op.shape)
        case Select():
            return x * torch.from_numpy(op.mask.kept(op.shape)).to(x.device)
        case Scale():
            return (x * op.factor).remainder(modulus.value)
        case Add():
            total = torch.zeros_like(x)
            for y, factor in zip(operands, op.factors, strict=True):
                total = (total + y * factor).remainder(modulus.value)
            return total
        case Concat():
            return torch.cat(list(operands), op.dim + 1)
    raise ParameterError(f"operation {op.name} ({type(op).__name__}) is not local")
