"""The self-check at the end of a conversion: no layer may be silently wrong.

0. `check_trace`: the traced PyTorch graph gives what the model itself gives, whatever the size of the batch.
1. `check_network`: the folded real network gives the values of the traced PyTorch graph, layer by layer, up
   to the rounding of float32.
2. `check_program`: every operation of the integer program, run on the integers that the simulator really has
   there, differs from the real operation on the same operands by no more than its own rounding and, next to a
   knot, its own sign fault. A wrong geometry, scale or wrap exceeds the bounds by orders of magnitude.

The bounds, with f fractional bits in the result and F in the operand:

    input        2^-(f+1)
    linear       2^-(w+1) sum |x| + 2^-(f+1)            weights of w bits; over what the kernel reads
    activation   2^-(f-1) + 2^-(F+1) + 2^(32-n-F) / g   for every knot: floor and one unit of the rescale;
                                                        rounding of the knot; a sign fault, which needs a
                                                        value that small
    factor       |x| 2^-(b+1)                           b bits added
    the rest     0
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx
from torch.export import ExportedProgram

from circa import program
from circa.errors import ConversionError
from circa.model import ConvertedModel
from circa.simulate import exact, simulate

from . import graph
from .capture import BATCH
from .evaluate import compute, evaluate, linear
from .graph import Node
from .scales import Scales

__all__ = ["check_network", "check_program", "check_trace"]

FLOAT32 = 1e-3  # of a layer's largest value: what float32 and another order of summation may change
FLOAT64 = 1e-9
KEPT_VALUES = 1 << 24  # every value of every image is kept, in float64
MOST_IMAGES = 4


def check_trace(exported: ExportedProgram, calibration: Tensor, expected: Tensor) -> None:
    """Raises ConversionError where the traced graph, made for BATCH images, gives another result for the
    first ones than the model itself, `expected`, gives for them alone.
    """
    with torch.no_grad():
        outputs = Recorder(exported, set()).outputs(some_images(calibration))
    found = next(y for y in reversed(outputs) if isinstance(y, Tensor))[: len(expected)]
    limit = FLOAT32 * max(1e-6, expected.abs().max().item())
    if found.shape != expected.shape or not (found - expected).abs().max().item() <= limit:
        raise ConversionError(
            "the model's result depends on how many images are in its batch: compute every image by itself, "
            "without the batch's size as a number"
        )


def some_images(calibration: Tensor) -> Tensor:
    """BATCH images, repeated where there are fewer."""
    x = calibration[:BATCH]
    return x[torch.arange(BATCH) % len(x)]


def check_network(exported: ExportedProgram, nodes: list[Node], calibration: Tensor) -> None:
    """Raises ConversionError naming the first layer whose value is not that of the traced graph."""
    x = some_images(calibration)
    wanted = {node.traced: node for node in nodes if node.traced}
    ours: dict[Node, Tensor] = {}
    with torch.no_grad():
        evaluate(nodes, x, lambda node, value: ours.update({node: value}) if node.traced else None)
        theirs = Recorder(exported, set(wanted))
        theirs.outputs(x)
    for node in nodes:
        if not node.traced:
            continue
        expected = theirs.kept[node.traced]
        difference = (ours[node].reshape(expected.shape) - expected).abs().max().item()
        if not difference <= FLOAT32 * max(1e-6, expected.abs().max().item()):
            raise ConversionError(
                f"{node.name}: it differs from PyTorch's layer by {difference:.3g}. This is a defect "
                "of the converter; please report the layer, and write it with other operations meanwhile"
            )


class Recorder(fx.Interpreter):
    """Runs the traced graph and keeps the values of some nodes."""

    def __init__(self, exported: ExportedProgram, keep: set[str]) -> None:
        super().__init__(exported.graph_module)
        self.exported = exported
        self.keep = keep
        self.kept: dict[str, Tensor] = {}

    def outputs(self, x: Tensor) -> tuple[Any, ...]:
        """What the graph returns: changed buffers, then the result."""
        signature = self.exported.graph_signature
        held = {**self.exported.state_dict, **self.exported.constants}
        names = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        placeholders = [n.name for n in self.exported.graph.nodes if n.op == "placeholder"]
        returned: tuple[Any, ...] = self.run(
            *(held[names[name]] if name in names else x for name in placeholders)
        )
        return returned

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self.keep:
            self.kept[n.name] = value[0] if isinstance(value, tuple | list) else value
        return value


def check_program(model: ConvertedModel, place: dict[Node, int], scales: Scales, calibration: Tensor) -> None:
    """Raises ConversionError naming the first operation that is off by more than its bound."""
    values: dict[int, Tensor] = {}
    operations = model.program.operations
    images = KEPT_VALUES // sum(op.elements for op in operations)
    calibration = calibration[: max(1, min(len(calibration), images, MOST_IMAGES))]

    def watch(i: int, residues: NDArray[np.uint32]) -> None:
        decoded = model.program.modulus.decode(np.ascontiguousarray(residues))
        values[i] = torch.from_numpy(decoded.astype(np.float64) * 2.0 ** -operations[i].frac_bits)

    residues = model.encode(calibration)
    if all(op.window is not None for op in model.program.activations if op.knots):
        generator = np.random.Generator(np.random.SFC64(0))
        simulate(model.program, model.linear, residues, generator, watch)
    else:
        exact(model.program, model.linear, residues, watch)
    done = set()
    for node, i in place.items():
        if i in done or any(place[x] == i for x in node.inputs):
            continue  # a power of two that its pooling has taken over
        done.add(i)
        if isinstance(node, graph.Source):
            off = (values[i] - calibration.double()).abs() - 2.0 ** -(scales.frac_bits[node] + 1)
        else:
            operands = [values[place[x]] for x in node.inputs]
            real = compute(node, operands) * 2.0 ** (scales.frac_bits[node] - operations[i].frac_bits)
            off = (values[i] - real).abs() - bound(node, operations[i], operands[0], scales)
        if not off.max().item() <= FLOAT64 * max(1.0, values[i].abs().max().item()):
            raise ConversionError(
                f"{node.name}: the fixed-point layer exceeds its error bound by {off.max().item():.3g} on "
                "the calibration batch. Use a larger margin or more bits; if that does not help, report it"
            )


def bound(node: Node, op: program.Operation, x: Tensor, scales: Scales) -> Tensor:
    unit = torch.tensor(2.0**-op.frac_bits, dtype=torch.float64)
    if isinstance(node, graph.Linear):
        ones = replace(
            node, weight=torch.ones_like(node.weight[: node.groups]), bias=x.new_zeros(node.groups)
        )
        read = linear(ones, x.abs()).repeat_interleave(len(node.weight) // node.groups, 1)
        read = read.reshape(len(x), *node.shape)
        return read * 2.0 ** -(scales.weight_bits[node] + 1) + unit / 2
    if isinstance(node, graph.Scale):
        return x.abs() * 2.0 ** -(op.frac_bits - scales.frac_bits[node.inputs[0]] + 1)
    if isinstance(node, graph.Rescale):
        return 2 * unit
    if isinstance(op, program.Activate):
        before = 2.0 ** -scales.frac_bits[node.inputs[0]]
        fault = torch.zeros((), dtype=torch.float64)
        outside = torch.zeros((), dtype=torch.float64)
        if (window := op.window) is not None:
            channels = (-1, *(1,) * (x.ndim - 2))
            fault = window.width / torch.tensor(window.gain, dtype=torch.float64).reshape(channels) * before
            # Beyond its window a value's sign is wrong: the margin's business, not this layer's.
            low, high = (torch.from_numpy(bound).reshape(channels) for bound in window.bounds(op.knots))
            outside = torch.where((x / before < low) | (x / before > high), torch.inf, 0.0)
        return len(op.knots) * (2 * unit + before / 2 + fault) + outside
    return torch.zeros((), dtype=torch.float64)
