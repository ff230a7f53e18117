"""The figure of `circa tune`: accuracy against online bytes, what was simulated and what was chosen."""

from pathlib import Path
from typing import Any

from circa.bench.figure import check

from .figure import save, style
from .tuning import Setting, Tuned

__all__ = ["draw"]

NAME = "pareto"
TICKS = [step * 10.0**power for power in range(-4, 5) for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)]
LOW = 6.0  # points: settings that lose more are left out


def draw(result: Tuned, folder: Path) -> list[Path]:
    """Write pareto.png and pareto.svg; returns their paths. Raises FigureError without matplotlib."""
    check()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, NullLocator

    with pyplot.rc_context(style()):
        figure, axis = pyplot.subplots(figsize=(6.2, 4.2))
        axis.axhline(0, color="#444444", linestyle="--", linewidth=1.2, label="fixed point, no faults")
        axis.axhline(-result.budget, color="#c1272d", linestyle=":", linewidth=1.2, label="budget")
        shown = [s for s in result.settings if s.score.difference >= -LOW]
        uniform = [s for s in shown if s.uniform is not None]
        _points(axis, uniform, "s", "#888888", "same n everywhere")
        for setting in uniform:
            at = (setting.online_bytes / 1e6, setting.score.difference)
            axis.annotate(f"n = {setting.uniform}", at, (5, 6), textcoords="offset points", fontsize=7,
                          color="#555555")  # fmt: skip
        _points(axis, [s for s in shown if s.uniform is None], "o", "#0072b2", "n by layer")
        front = [s for s in result.front if s in shown]
        axis.plot(*_at(front), color="#0072b2", linewidth=1.2, alpha=0.6, label="Pareto front")
        chosen = _at([result.chosen])
        axis.plot(*chosen, marker="o", markersize=11, markerfacecolor="none", markeredgewidth=1.8,
                  color="#d55e00", linestyle="", label="chosen", zorder=5)  # fmt: skip
        axis.set_xscale("log")
        ticks = axis.get_xlim()
        axis.xaxis.set_major_locator(FixedLocator([t for t in TICKS if ticks[0] <= t <= ticks[1]]))
        axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlabel("online bytes an image (MB, both directions)")
        what = "accuracy" if result.labelled else "agreement"
        axis.set_ylabel(f"{what} less that of fixed point (points)")
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.legend(frameon=False, fontsize=8, loc="lower right")
        caption = f"{result.images:,} images, one run each; bars: ± one standard error on the same images"
        figure.text(0.01, 0.01, caption, fontsize=7, color="#666666")
        figure.tight_layout(rect=(0, 0.03, 1, 1))
        return save(figure, folder, NAME)


def _at(settings: list[Setting]) -> tuple[list[float], list[float]]:
    return [s.online_bytes / 1e6 for s in settings], [s.score.difference for s in settings]


def _points(axis: Any, settings: list[Setting], marker: str, colour: str, label: str) -> None:
    if settings:
        spread = [s.score.spread for s in settings]
        axis.errorbar(*_at(settings), spread, color=colour, marker=marker, markersize=4.5, linestyle="",
                      elinewidth=0.8, capsize=2, alpha=0.9, label=label)  # fmt: skip
