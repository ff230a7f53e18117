"""Accuracy against the bits that the sign test sees (n) or ignores (k, as published), for each fault mode.

Every point is the network with one n or k in all layers, simulated on the same images with the same client
shares. The lines that do not move: the network in fixed point without sign faults, and PyTorch's own result
where it is given.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circa.errors import ParameterError
from circa.estimate import NETWORKS, estimate
from circa.model import ConvertedModel
from circa.program import Program
from circa.protocols.relu import WINDOWED

from .draws import exact_outputs, outputs
from .score import Score, check_labels, classes, compare, interval
from .windows import tested, truncated, windowed

__all__ = ["Point", "Sweep", "default_settings", "online_bytes", "plain_classes", "sweep"]


@dataclass(frozen=True)
class Point:
    """One setting: `n` of all windows or `k` of Circa's truncation; neither for the file as it is, where its
    layers differ. online_bytes: per image, both directions, exact."""

    mode: str
    n: int | None
    k: int | None
    online_bytes: int
    score: Score


@dataclass(frozen=True)
class Sweep:
    """Per cent of `images` images; every point is the mean of `runs` runs with other shares."""

    images: int
    runs: int
    seed: int
    plaintext: float | None
    exact: float
    exact_interval: tuple[float, float]
    points: tuple[Point, ...]

    def to_dict(self) -> dict[str, Any]:
        points = [{**asdict(point), **asdict(point.score)} for point in self.points]
        for point in points:
            del point["score"]
        return {**asdict(self), "points": points}


def sweep(
    model: ConvertedModel,
    x: Tensor,
    labels: NDArray[np.int64],
    *,
    bits: Sequence[int] = (),
    truncate: Sequence[int] = (),
    modes: Sequence[str] = ("balanced", "poszero", "negpass"),
    plaintext: NDArray[np.int64] | None = None,
    runs: int = 1,
    seed: int = 0,
    progress: Any = None,
) -> Sweep:
    """Simulate every mode with every n and every k, and the model as it is where its layers have different
    windows. plaintext: PyTorch's classes for the same images.

    "balanced" exists for windows alone. progress(setting, done, total) counts images. Raises ParameterError
    for a setting that the model's protocol does not have, before anything runs.
    """
    settings = _settings(model, bits, truncate, modes)
    labels = check_labels(labels, len(x), model.program.output.elements)
    if runs < 1:
        raise ParameterError(f"runs = {runs}: at least one")
    residues = model.encode(x)
    total, done = len(x) * (1 + runs * len(settings)), 0
    title = ""

    def advance(images: int) -> None:
        nonlocal done
        done += images
        if progress is not None:
            progress(title, done, total)

    title = "exact"
    reference = classes(exact_outputs(model.program, model.linear, residues, advance))
    points = []
    for mode, n, k, program in settings:
        title = f"{mode} {f'n = {n}' if n is not None else f'k = {k}' if k is not None else 'as it is'}"
        found = [
            classes(outputs(program, model.linear, residues, seed + run, advance)) for run in range(runs)
        ]
        score = compare(found, reference, labels)
        points.append(Point(mode, n, k, online_bytes(program), score))
    exact = float((reference == labels).mean())
    low, high = interval(exact, len(x))
    plain = None if plaintext is None else 100 * float((plaintext == labels).mean())
    return Sweep(len(x), runs, seed, plain, 100 * exact, (100 * low, 100 * high), tuple(points))


def online_bytes(program: Program) -> int:
    """Both directions, for one image."""
    total = estimate(program).total("online", NETWORKS["lan"])
    return int(total["bytes_sent"] + total["bytes_received"])


def _settings(
    model: ConvertedModel, bits: Sequence[int], truncate: Sequence[int], modes: Sequence[str]
) -> list[tuple[str, int | None, int | None, Program]]:
    program = model.program
    if not bits and not truncate:
        raise ParameterError("nothing to measure: name bits n or truncated bits k")
    found: list[tuple[str, int | None, int | None, Program]] = []
    own = {(op.window.bits, op.window.mode) for op in tested(program) if op.window is not None}
    if len({n for n, _ in own}) > 1:
        found.append((own.pop()[1], None, None, program))
    for mode in modes:
        for n in bits:
            found.append((mode, n, None, windowed(program, model.weights, n, mode)))
        for k in truncate if mode != "balanced" else ():
            found.append((mode, None, k, truncated(program, k, mode)))
    if not found:
        raise ParameterError("mode balanced exists for windows only: name poszero or negpass for k")
    return found


def default_settings(program: Program) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The n and k to look at for a file: of its own family."""
    return ((3, 4, 5, 6, 8), ()) if program.relu in WINDOWED else ((), (8, 10, 12, 14, 16, 18))


def plain_classes(network: torch.nn.Module, x: Tensor) -> NDArray[np.int64]:
    """PyTorch's classes, in float32."""
    with torch.inference_mode():
        found = [network(part).flatten(1).argmax(1) for part in torch.split(x, 64)]
    return torch.cat(found).numpy()
