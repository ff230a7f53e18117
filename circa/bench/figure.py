"""The figure of `circa bench relu`: what a ReLU stores and takes, against the bits its sign test ignores.

Four panels: above the client's storage, below the time of the online phase. Left, linear, the published
family against k, the truncated bits; right, logarithmic, the window protocols against n, the bits that are
left. Delphi, which has neither parameter, is the dashed line through both.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circa.protocols.errors import CircaError

from .rows import BASELINE, Row

__all__ = ["FigureError", "check", "draw"]

NAME = "relu_cost"
_COLOURS = {
    "delphi": "#444444",
    "circa-sign": "#888888",
    "circa": "#c1272d",
    "table": "#0072b2",
    "window-garbled": "#009e73",
}
_MARKERS = {"circa": "o", "table": "s", "window-garbled": "^"}
_NOTE: Any = {"textcoords": "offset points", "fontsize": 6.5, "color": "#555555"}
_VALUES = (
    ("client_stored_bytes", "client storage per ReLU (bytes)"),
    ("online_us", "online time per ReLU (µs, both parties)"),
)


class FigureError(CircaError):
    """There is no matplotlib, or nothing to draw."""


def check() -> None:
    """Raises FigureError where matplotlib is missing: better before a long measurement than after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise FigureError("the figure needs matplotlib: pip install 'circa[plot]'")


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write relu_cost.png and relu_cost.svg; returns their paths. Rows of one shift: the first row's."""
    check()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in rows if row.shift == rows[0].shift]
    published = {"circa": [r for r in rows if r.protocol in ("circa", "circa-stochastic")]}
    windowed = {name: [r for r in rows if r.protocol == name] for name in ("table", "window-garbled")}
    lines = {name: row for row in rows if (name := row.protocol) in (BASELINE, "circa-sign")}
    if not any([*published.values(), *windowed.values()]):
        raise FigureError("nothing to draw: none of circa, table, window-garbled was measured")
    style: Any = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "circa",
    }
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(2, 2, figsize=(8.5, 6), sharex="col")
        for (value, label), pair in zip(_VALUES, axes, strict=True):
            _panel(pair[0], published, lines, value, "k")
            _panel(pair[1], windowed, lines, value, "n")
            pair[0].set_ylabel(label)
            pair[0].set_ylim(bottom=0)
            pair[1].set_yscale("log")
            for axis in pair:
                axis.yaxis.set_major_formatter(lambda y, _: f"{y:,.6g}")
        axes[1, 0].set_xlabel("truncated bits k")
        axes[1, 1].set_xlabel("bits of the window n")
        axes[0, 0].set_title("Circa as published", loc="left")
        axes[0, 1].set_title("window protocols (ring $2^{32}$)", loc="left")
        _ticks(axes[1, 0], published, "k")
        _ticks(axes[1, 1], windowed, "n")
        handles: dict[str, Any] = {}
        for axis in axes.flat:
            for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(name, handle)
        figure.legend(handles.values(), handles.keys(), loc="upper center", ncols=len(handles), frameon=False)
        figure.text(0.01, 0.005, _caption(rows[0]), fontsize=7, color="#666666")
        figure.align_ylabels()
        figure.tight_layout(rect=(0, 0.02, 1, 0.95))
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{NAME}.{kind}" for kind in ("png", "svg")]
        for path in paths:
            figure.savefig(path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else None)
        pyplot.close(figure)
    return paths


def _panel(axis: Any, series: dict[str, list[Row]], lines: dict[str, Row], value: str, by: str) -> None:
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    for name, row in lines.items():
        y, dash = getattr(row, value), "--" if name == BASELINE else ":"
        axis.axhline(y, color=_COLOURS[name], linestyle=dash, linewidth=1.2, label=_legend(name))
        place = (1, y), (-2, 2 if name == BASELINE else -8)
        axis.annotate(_number(y), *place, **_NOTE, ha="right", xycoords=axis.get_yaxis_transform())
    for name, rows in series.items():
        points = sorted(rows, key=lambda row: getattr(row, by) or 0)
        if not points:
            continue
        x, y = [getattr(row, by) or 0 for row in points], [getattr(row, value) for row in points]
        axis.plot(x, y, color=_COLOURS[name], marker=_MARKERS[name], markersize=4.5, label=_legend(name))
        for point in zip(x, y, strict=True):
            axis.annotate(_number(point[1]), point, (0, 5), **_NOTE, ha="center")
        if value == "online_us":
            low, high = ([getattr(row, f"{value}_{end}") for row in points] for end in ("min", "max"))
            axis.fill_between(x, low, high, color=_COLOURS[name], alpha=0.15, linewidth=0)
    axis.margins(y=0.12)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _legend(name: str) -> str:
    return {
        "delphi": "Delphi (whole ReLU)",
        "circa-sign": "exact sign",
        "circa": "Circa, $\\tilde{s}_k$",
    }.get(name, name)


def _ticks(axis: Any, series: dict[str, list[Row]], by: str) -> None:
    """A tick at each measured value, thinned out where there are many."""
    found = sorted({getattr(row, by) or 0 for rows in series.values() for row in rows})
    if found:
        axis.set_xticks(found[:: 1 + len(found) // 14])


def _caption(row: Row) -> str:
    rescale = f"rescale by {row.shift} bits" if row.shift else "no rescale"
    return f"{row.elements:,} ReLUs, {rescale}, one thread per party; bands: fastest and slowest repetition"
