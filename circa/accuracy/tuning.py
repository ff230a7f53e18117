"""`tune`: a window for every layer, so that online bytes are few and accuracy is within a budget.

 1. Every layer alone at every n: what its faults do to the output (`sensitivity`), what it sends.
 2. A path from the finest windows to the coarsest: always the step that does least harm for a byte. Every
    point of it is the best assignment for its bytes, if harms add up.
 3. Simulate points of the path, all layers at once: a few across it, then bisect to where the budget ends.
    The same n everywhere is simulated too, for comparison; it may win.
 4. The cheapest point within the budget is simulated again with fresh shares: chosen among many, it may have
    been lucky. It stays only if both runs together are within the budget, else the next one is tried.

Only simulated accuracies decide. With labels the accuracy counts, without them the agreement with the classes
of the fixed-point network, which asks for more: an image that is wrong either way may not change its class.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from circa.errors import ParameterError
from circa.model import ConvertedModel
from circa.protocols.relu import WINDOWED

from .draws import exact_outputs, outputs
from .score import Score, check_labels, classes, compare
from .sensitivity import distortions, layer_bytes
from .sweep import online_bytes
from .windows import tested, windowed, with_windows

__all__ = ["Setting", "Tuned", "path", "tune"]

PROBES = 48  # images for step 1
SPREAD = 5  # points across the path, before the bisection
Report = Callable[[str, int, int], None]
Harm = Mapping[str, Mapping[int, float]]
Sizes = Mapping[str, Mapping[int, int]]


@dataclass(frozen=True)
class Setting:
    """Bits by layer, online bytes of an image, and what a simulation gave. uniform: n where all are equal."""

    bits: dict[str, int]
    uniform: int | None
    online_bytes: int
    score: Score

    def within(self, budget: float) -> bool:
        return self.score.difference >= -budget - 1e-9


@dataclass(frozen=True)
class Tuned:
    """The chosen setting and its model, and all that was simulated; accuracies in per cent, `budget` in
    points. `confirmed` is the chosen setting's score over all its runs. Where nothing is within the budget
    `satisfied` is False and the most accurate setting is chosen.
    """

    model: ConvertedModel
    chosen: Setting
    confirmed: Score
    satisfied: bool
    settings: tuple[Setting, ...]
    before_bytes: int
    exact: float
    budget: float
    labelled: bool
    images: int
    seconds: float

    @property
    def front(self) -> tuple[Setting, ...]:
        """The settings that no other one beats in both bytes and accuracy, cheapest first."""
        front: list[Setting] = []
        for setting in sorted(self.settings, key=lambda s: (s.online_bytes, -s.score.accuracy)):
            if not front or setting.score.accuracy > front[-1].score.accuracy:
                front.append(setting)
        return tuple(front)

    def to_dict(self) -> dict[str, Any]:
        fields = ("satisfied", "before_bytes", "exact", "budget", "labelled", "images", "seconds")
        return {
            **{name: getattr(self, name) for name in fields},
            "chosen": asdict(self.chosen),
            "confirmed": asdict(self.confirmed),
            "front": [asdict(setting) for setting in self.front],
            "settings": [asdict(setting) for setting in self.settings],
        }


def tune(
    model: ConvertedModel,
    x: Tensor,
    labels: NDArray[np.int64] | None = None,
    *,
    budget: float = 0.1,
    bits: Sequence[int] = (3, 4, 5, 6, 7, 8),
    evaluations: int = 12,
    seed: int = 0,
    progress: Report | None = None,
) -> Tuned:
    """Choose n for every layer from `bits`, at most `budget` points below fixed point without faults.

    x: images, not those on which the accuracy is reported later. evaluations: simulations along the path.
    progress(step, done, total) counts images within a step. Raises ParameterError for a model without
    windows, and for settings out of range.
    """
    start = time.perf_counter()
    program = model.program
    if program.relu not in WINDOWED or not tested(program):
        raise ParameterError(f"protocol {program.relu!r} has no windows to tune: convert with relu='table'")
    if not 0 <= budget < 100 or evaluations < SPREAD or len(set(bits)) < 2:
        raise ParameterError(
            f"a budget of 0 to 100 points, at least {SPREAD} evaluations and two n are needed"
        )
    residues = model.encode(x)
    sizes = layer_bytes(model, bits)
    bench = _Bench(model, residues, labels, seed, progress or (lambda *_: None))
    probe = residues[:PROBES]
    steps = len(tested(program)) * len(bits) * len(probe)
    harm = distortions(model, probe, bits, seed, bench.counter("layer by layer", steps))
    for n in sorted(bits):
        bench.measure(dict.fromkeys(harm, n))
    _search(bench, path(harm, sizes), sizes, budget, evaluations)
    chosen, confirmed = bench.confirm(budget)
    return Tuned(
        model=with_windows(model, chosen.bits),
        chosen=chosen,
        confirmed=confirmed,
        satisfied=chosen.within(budget) and confirmed.difference >= -budget - 1e-9,
        settings=tuple(bench.settings),
        before_bytes=online_bytes(program),
        exact=bench.exact,
        budget=budget,
        labelled=labels is not None,
        images=len(x),
        seconds=time.perf_counter() - start,
    )


def path(harm: Harm, sizes: Sizes) -> list[dict[str, int]]:
    """From the finest windows to the coarsest, each time the step that does least harm for a byte saved."""
    now = {layer: max(options) for layer, options in harm.items()}
    found = [dict(now)]
    while True:
        steps = [
            ((max(0.0, harm[layer][n] - harm[layer][now[layer]]) / saved), layer, n)
            for layer in now
            for n in harm[layer]
            if n < now[layer] and (saved := sizes[layer][now[layer]] - sizes[layer][n]) > 0
        ]
        if not steps:
            return found
        _, layer, n = min(steps)
        now[layer] = n
        found.append(dict(now))


def _search(
    bench: "_Bench", points: list[dict[str, int]], sizes: Sizes, budget: float, evaluations: int
) -> None:
    """A few points across the path, evenly in bytes; then between the cheapest that is within the budget and
    the next one that is not.
    """
    cost = np.array([sum(sizes[layer][n] for layer, n in point.items()) for point in points])
    spread = {int(np.abs(cost - wanted).argmin()) for wanted in np.linspace(cost[0], cost[-1], SPREAD)}
    within = {i: bench.measure(points[i]).within(budget) for i in sorted(spread)}
    for _ in range(evaluations - len(spread)):
        good = max((i for i, ok in within.items() if ok), default=0)
        bad = min((i for i, ok in within.items() if not ok and i > good), default=len(points))
        middle = (good + bad) // 2
        if middle in within:
            return
        within[middle] = bench.measure(points[middle]).within(budget)


class _Bench:
    """Simulates settings on the same images, each once."""

    def __init__(
        self,
        model: ConvertedModel,
        x: NDArray[np.uint32],
        labels: NDArray[np.int64] | None,
        seed: int,
        report: Report,
    ):
        self.model, self._x, self._seed, self._report = model, x, seed, report
        counter = self.counter("exact", len(x))
        self._reference = classes(exact_outputs(model.program, model.linear, x, counter))
        own = self._reference if labels is None else labels
        self._labels = check_labels(own, len(x), model.program.output.elements)
        self.exact = 100 * float((self._reference == self._labels).mean())
        self.settings: list[Setting] = []
        self._runs: dict[tuple[object, ...], NDArray[np.int64]] = {}

    def counter(self, step: str, total: int) -> Callable[[int], None]:
        done = 0
        self._report(step, 0, total)

        def advance(more: int) -> None:
            nonlocal done
            done += more
            self._report(step, done, total)

        return advance

    def measure(self, bits: dict[str, int]) -> Setting:
        for setting in self.settings:
            if setting.bits == bits:
                return setting
        values = set(bits.values())
        sent = online_bytes(windowed(self.model.program, self.model.weights, bits))
        uniform = values.pop() if len(values) == 1 else None
        score = compare([self._run(bits, self._seed)], self._reference, self._labels)
        self.settings.append(Setting(bits, uniform, sent, score))
        return self.settings[-1]

    def confirm(self, budget: float) -> tuple[Setting, Score]:
        """The cheapest setting that is within the budget twice, with the score of both runs together."""
        for setting in sorted(self.settings, key=lambda s: s.online_bytes):
            if setting.within(budget):
                score = self._twice(setting)
                if score.difference >= -budget - 1e-9:
                    return setting, score
        best = max(self.settings, key=lambda s: (s.score.accuracy, -s.online_bytes))
        return best, self._twice(best)

    def _twice(self, setting: Setting) -> Score:
        runs = [self._run(setting.bits, seed) for seed in (self._seed, self._seed + 1)]
        return compare(runs, self._reference, self._labels)

    def _run(self, bits: dict[str, int], seed: int) -> NDArray[np.int64]:
        key = (*bits.values(), seed)
        if key not in self._runs:
            program = windowed(self.model.program, self.model.weights, bits)
            counter = self.counter(f"{online_bytes(program) / 1e6:.2f} MB", len(self._x))
            self._runs[key] = classes(outputs(program, self.model.linear, self._x, seed, counter))
        return self._runs[key]
