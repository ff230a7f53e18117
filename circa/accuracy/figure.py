"""The figure of `circa bench accuracy`: accuracy against n (windows) and k (as published), a line a mode."""

from pathlib import Path
from typing import Any

from circa.bench.figure import check

from .sweep import Point, Sweep

__all__ = ["draw", "save", "style"]

NAME = "accuracy"
COLOURS = {"balanced": "#0072b2", "poszero": "#d55e00", "negpass": "#009e73"}
MARKERS = {"balanced": "o", "poszero": "^", "negpass": "v"}
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
        size = (1.2 + 3.9 * len(families), 3.9)
        figure, axes = pyplot.subplots(1, len(families), figsize=size, sharey=True, squeeze=False)
        for axis, (by, label) in zip(axes.flat, families, strict=True):
            _panel(axis, result, by)
            axis.set_xlabel(label)
        axes[0, 0].set_ylabel("accuracy (%)")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="upper center", ncols=3 if len(families) == 1 else 5, frameon=False
        )
        caption = f"{result.images:,} images, {result.runs} run{'s' if result.runs > 1 else ''} each;"
        figure.text(0.01, 0.01, f"{caption} bars and band: 95 % binomial", fontsize=7, color="#666666")
        figure.tight_layout(rect=(0, 0.03, 1, 0.88 if len(families) == 1 else 0.93))
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


def _panel(axis: Any, result: Sweep, by: str) -> None:
    low, high = result.exact_interval
    axis.axhspan(low, high, color="#000000", alpha=0.06, linewidth=0)
    axis.axhline(result.exact, color="#444444", linestyle="--", linewidth=1.2, label="fixed point, no faults")
    if result.plaintext is not None:
        axis.axhline(result.plaintext, color="#444444", linestyle=":", linewidth=1.2, label="PyTorch")
    for mode in COLOURS:
        points = sorted(
            (p for p in result.points if p.mode == mode and getattr(p, by) is not None),
            key=lambda p: getattr(p, by),
        )
        if points:
            _line(axis, points, mode, by)
    axis.set_xticks(sorted({v for p in result.points if (v := getattr(p, by)) is not None}))
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)


def _line(axis: Any, points: list[Point], mode: str, by: str) -> None:
    accuracy = [p.score.accuracy for p in points]
    below = [p.score.accuracy - p.score.low for p in points]
    above = [p.score.high - p.score.accuracy for p in points]
    axis.errorbar(
        [getattr(p, by) + OFFSETS[mode] for p in points],
        accuracy,
        (below, above),
        color=COLOURS[mode],
        marker=MARKERS[mode],
        markersize=5,
        linewidth=1.4,
        elinewidth=0.9,
        capsize=2,
        label=mode,
    )
