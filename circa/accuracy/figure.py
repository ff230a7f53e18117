"""The figure of `circa bench accuracy`: accuracy against n (windows) and k (as published), a line a mode.

Above the accuracy with its binomial interval; below, enlarged, what it differs from the network without
faults on the same images, with the standard error of that difference, which is smaller.
"""

from pathlib import Path
from typing import Any

from circa.bench.figure import check

from .sweep import Point, Sweep

__all__ = ["draw", "save", "style"]

NAME = "accuracy"
COLOURS = {"balanced": "#0072b2", "poszero": "#d55e00", "negpass": "#009e73"}
MARKERS = {"balanced": "o", "poszero": "^", "negpass": "v"}
ENLARGED = 4.0  # points: how far down the lower panel goes
OFFSETS = {"balanced": 0.0, "poszero": -0.07, "negpass": 0.07}  # so that error bars do not cover each other


def draw(result: Sweep, folder: Path) -> list[Path]:
    """Write accuracy.png and accuracy.svg; returns their paths. Raises FigureError without matplotlib."""
    check()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    families = [(by, label) for by, label in (("n", "bits of the window n"), ("k", "truncated bits k"))
                if any(getattr(point, by) is not None for point in result.points)]  # fmt: skip
    with pyplot.rc_context(style()):
        figure, axes = pyplot.subplots(
            *(2, len(families)),
            figsize=(1.4 + 3.8 * len(families), 5.2),
            sharex="col",
            sharey="row",
            squeeze=False,
            height_ratios=(3, 2),
        )
        for column, (by, label) in zip(axes.T, families, strict=True):
            _accuracy(column[0], result, by)
            _difference(column[1], result, by)
            column[1].set_xlabel(label)
            column[1].set_xticks(sorted({v for p in result.points if (v := getattr(p, by)) is not None}))
        axes[0, 0].set_ylabel("accuracy (%)")
        axes[1, 0].set_ylabel("difference to\nfixed point (points)")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="upper center", ncols=3 if len(families) == 1 else 5, frameon=False
        )
        runs = f"{result.runs} run{'s' if result.runs > 1 else ''} each"
        caption = f"{result.images:,} images, {runs}; above: 95 % binomial; below: ± one standard error"
        figure.text(0.01, 0.008, caption, fontsize=7, color="#666666")
        figure.align_ylabels()
        figure.tight_layout(rect=(0, 0.02, 1, 0.9 if len(families) == 1 else 0.94))
        return save(figure, folder, NAME)


def style() -> Any:
    return {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "circa",
    }


def save(figure: Any, folder: Path, name: str) -> list[Path]:
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
    for path in paths:
        figure.savefig(path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
    return paths


def _accuracy(axis: Any, result: Sweep, by: str) -> None:
    low, high = result.exact_interval
    axis.axhspan(low, high, color="#000000", alpha=0.06, linewidth=0)
    axis.axhline(result.exact, color="#444444", linestyle="--", linewidth=1.2, label="fixed point, no faults")
    if result.plaintext is not None:
        axis.axhline(result.plaintext, color="#c1272d", linestyle=":", linewidth=1.2, label="PyTorch")
    for point in _mixed(result):
        axis.axhline(point.score.accuracy, color="#cc79a7", linewidth=1.2, label="this file, n by layer")
    for mode, points in _series(result, by):
        accuracy = [p.score.accuracy for p in points]
        below = [p.score.accuracy - p.score.low for p in points]
        above = [p.score.high - p.score.accuracy for p in points]
        _line(axis, mode, [getattr(p, by) for p in points], accuracy, (below, above))
    _grid(axis)


def _difference(axis: Any, result: Sweep, by: str) -> None:
    axis.axhline(0, color="#444444", linestyle="--", linewidth=1.2)
    if result.plaintext is not None:
        axis.axhline(result.plaintext - result.exact, color="#c1272d", linestyle=":", linewidth=1.2)
    for point in _mixed(result):
        axis.axhline(point.score.difference, color="#cc79a7", linewidth=1.2)
    for mode, points in _series(result, by):
        spread = [p.score.spread for p in points]
        _line(
            axis,
            mode,
            [getattr(p, by) for p in points],
            [p.score.difference for p in points],
            (spread, spread),
        )
    lowest = min(p.score.difference - p.score.spread for p in result.points)
    highest = max(p.score.difference + p.score.spread for p in result.points)
    axis.set_ylim(max(lowest, -ENLARGED) - 0.2, max(highest, 0.5) + 0.2)
    _grid(axis)


def _series(result: Sweep, by: str) -> list[tuple[str, list[Point]]]:
    found = []
    for mode in COLOURS:
        points = [p for p in result.points if p.mode == mode and getattr(p, by) is not None]
        if points:
            found.append((mode, sorted(points, key=lambda p: getattr(p, by))))
    return found


def _mixed(result: Sweep) -> list[Point]:
    return [p for p in result.points if p.n is None and p.k is None]


def _line(axis: Any, mode: str, x: list[int], y: list[float], bars: tuple[list[float], list[float]]) -> None:
    axis.errorbar(
        [value + OFFSETS[mode] for value in x],
        y,
        bars,
        color=COLOURS[mode],
        marker=MARKERS[mode],
        markersize=5,
        linewidth=1.4,
        elinewidth=0.9,
        capsize=2,
        label=mode,
    )


def _grid(axis: Any) -> None:
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
