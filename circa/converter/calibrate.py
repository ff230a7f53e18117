"""Ranges of every value of the network on the calibration batch, in float32."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from circa.errors import CalibrationError

from .evaluate import evaluate
from .graph import Activate, Node
from .windows import channel_range

__all__ = ["Ranges", "calibrate", "check_batch"]

CHUNK = 32  # images at a time


@dataclass(frozen=True)
class Ranges:
    """largest: the largest |value| of every node. low, high: for an activation, per channel, the least and
    the largest pre-activation or knot, float64 (channels,)."""

    largest: dict[Node, float]
    low: dict[Node, Tensor]
    high: dict[Node, Tensor]

    def far(self, node: Activate) -> Tensor:
        """Per channel the largest distance of a pre-activation from a knot."""
        return torch.maximum(self.high[node] - min(node.knots), max(node.knots) - self.low[node])


def check_batch(calibration: Tensor) -> None:
    """Raises CalibrationError for what cannot be a batch of typical inputs."""
    if not isinstance(calibration, Tensor):
        raise CalibrationError(
            f"calibration is a {type(calibration).__name__}: give a tensor, a batch of inputs"
        )
    if calibration.ndim < 2 or not calibration.numel():
        raise CalibrationError(
            f"a calibration tensor of shape {tuple(calibration.shape)}: "
            "give a batch (batch, channels, height, width)"
        )
    if not calibration.is_floating_point():
        raise CalibrationError(
            f"calibration holds {calibration.dtype}: convert to float and normalise as for training"
        )
    if not calibration.isfinite().all():
        raise CalibrationError("calibration holds NaN or infinity: remove those inputs")
    if calibration.min() == calibration.max():
        raise CalibrationError(
            "the input has no range: every calibration value is the same; give typical inputs, 100 or more"
        )


def calibrate(nodes: list[Node], x: Tensor, progress: Callable[[int, int], None]) -> Ranges:
    """Raises CalibrationError naming the first layer whose pre-activations are all at its knot, or not
    finite.
    """
    largest = dict.fromkeys(nodes, 0.0)
    lows: dict[Node, Tensor] = {}
    highs: dict[Node, Tensor] = {}
    readers = {node.inputs[0]: [n for n in nodes if isinstance(n, Activate) and n.inputs[0] is node.inputs[0]]
               for node in nodes if isinstance(node, Activate)}  # fmt: skip

    def visit(node: Node, value: Tensor) -> None:
        largest[node] = max(largest[node], value.abs().max().item())
        for activation in readers.get(node, []):
            if (
                activation.mask is not None
            ):  # the others take no sign test; a knot in their place adds no range
                value = torch.where(activation.mask, value, activation.knots[0])
            low, high = channel_range(value, activation.knots)
            lows[activation] = torch.minimum(low, lows.get(activation, low))
            highs[activation] = torch.maximum(high, highs.get(activation, high))

    with torch.no_grad():
        for start in range(0, len(x), CHUNK):
            evaluate(nodes, x[start : start + CHUNK], visit)
            progress(min(start + CHUNK, len(x)), len(x))
    for node in nodes:
        if not largest[node] < float("inf"):
            raise CalibrationError(
                f"{node.name}: values that are not finite in float32; check the model's weights"
            )
        tested = isinstance(node, Activate) and (node.mask is None or bool(node.mask.any()))
        if tested and not (highs[node] - lows[node]).max() > 0:
            raise CalibrationError(
                f"{node.name}: every pre-activation of the calibration batch is zero, so it has no range; "
                f"give typical inputs, or remove the layer if it is dead"
            )
    return Ranges(largest, lows, highs)
