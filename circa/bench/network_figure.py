"""The figure of `circa bench network`: seconds and bytes, stacked.

One row measured: one bar a layer, in the network's order, its phases stacked. Several rows: one bar a row,
stacked by phase and kind of layer. Seconds are the client's, waiting included.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from circa.errors import ParameterError

from .figure import check as check_matplotlib
from .inference import Row

__all__ = ["SUFFIXES", "check", "draw"]

SUFFIXES = (".png", ".svg", ".pdf")
_GREY, _BLUE, _LIGHT, _RED, _PALE = "#9a9a9a", "#0072b2", "#8ec6e6", "#c1272d", "#eba39d"

_STACK: tuple[tuple[str, str, str, tuple[str, ...] | None], ...] = (  # label, colour, phase, kinds of layer
    ("set-up", _GREY, "offline", ("setup",)),
    ("linear layers, offline", _BLUE, "offline", ("linear",)),
    ("activations, offline", _LIGHT, "offline", ("activate",)),
    ("all, offline", _PALE, "offline", ("all",)),  # of another system
    ("online", _RED, "online", None),
)

Part = tuple[str, str, Callable[[dict[str, Any]], float]]  # label, colour, what a layer adds to it


def check(path: Path) -> None:
    """Raises ParameterError for a kind of file that is not drawn, FigureError where matplotlib is missing."""
    if path.suffix not in SUFFIXES:
        raise ParameterError(f"--figure {path.name}: the name must end in {', '.join(SUFFIXES)}")
    check_matplotlib()


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the figure, made as `path` ends."""
    check(path)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: Any = {
        "font.size": 8.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "svg.hashsalt": "circa",
    }
    with pyplot.rc_context(style):
        figure = _layers(pyplot, rows[0]) if len(rows) == 1 else _totals(pyplot, rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else None)
        pyplot.close(figure)


def _select(
    phase: str, kinds: Sequence[str] | None, key: str, scale: float
) -> Callable[[dict[str, Any]], float]:
    """What a layer adds where it is of this phase and one of these kinds (None: any)."""

    def value(layer: dict[str, Any]) -> float:
        chosen = layer["phase"] == phase and (kinds is None or layer["kind"] in kinds)
        return scale * layer[key] if chosen else 0.0

    return value


def _layers(pyplot: Any, row: Row) -> Any:
    """Milliseconds above, kilobytes below, layer by layer."""
    names = list(dict.fromkeys(layer["layer"] for layer in row.per_layer if layer["seconds"]))
    figure, axes = pyplot.subplots(2, 1, figsize=(max(7, 2 + 0.17 * len(names)), 6), sharex=True)
    seconds: list[Part] = [
        ("offline", _BLUE, _select("offline", None, "seconds", 1e3)),
        ("online", _RED, _select("online", None, "seconds", 1e3)),
    ]
    moved: list[Part] = [
        ("offline ↑", _BLUE, _select("offline", None, "bytes_up", 1e-3)),
        ("offline ↓", _LIGHT, _select("offline", None, "bytes_down", 1e-3)),
        ("online ↑", _RED, _select("online", None, "bytes_up", 1e-3)),
        ("online ↓", _PALE, _select("online", None, "bytes_down", 1e-3)),
    ]
    for axis, parts, label in ((axes[0], seconds, "ms at the client"), (axes[1], moved, "kB")):
        bottom = [0.0] * len(names)
        for name, colour, value in parts:
            heights = [sum(value(layer) for layer in row.per_layer if layer["layer"] == n) for n in names]
            axis.bar(range(len(names)), heights, 0.75, bottom, color=colour, label=name)
            bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
        _grid(axis, "y")
        axis.set_ylabel(label)
        axis.legend(frameon=False, ncols=len(parts), loc="upper right")
        axis.margins(x=0.01, y=0.15)
    axes[1].set_xticks(range(len(names)), names, rotation=90, fontsize=6.5)
    figure.align_ylabels()
    seconds_of = f"offline {row.offline_seconds:.2f} s, online {row.online_seconds:.3f} s"
    axes[0].set_title(f"{row.model} over {_line(row)}: {seconds_of}")
    _finish(figure, row)
    return figure


def _totals(pyplot: Any, rows: Sequence[Row]) -> Any:
    """Seconds on the left, megabytes on the right, a bar a row."""
    parts = [part for part in _STACK if part[3] != ("all",) or any(row.assumes for row in rows)]
    height = 1.7 + 0.28 * len(rows)
    figure, axes = pyplot.subplots(1, 2, figsize=(9, height), sharey=True)
    for axis, keys, scale, unit in (
        (axes[0], ("seconds",), 1.0, "s"),
        (axes[1], ("bytes_up", "bytes_down"), 1e-6, "MB"),
    ):
        left = [0.0] * len(rows)
        for label, colour, phase, kinds in parts:
            values = [_select(phase, kinds, key, scale) for key in keys]
            widths = [sum(value(layer) for layer in _bars(row) for value in values) for row in rows]
            axis.barh(range(len(rows)), widths, 0.7, left, color=colour, label=label)
            left = [a + b for a, b in zip(left, widths, strict=True)]
        for i, total in enumerate(left):
            axis.annotate(
                f"{total:.3g}", (total, i), (3, 0), textcoords="offset points", va="center", fontsize=7
            )
        _grid(axis, "x")
        axis.set_xlabel("seconds at the client" if unit == "s" else "MB, both ways")
        axis.margins(x=0.12)
    axes[0].set_yticks(range(len(rows)), [f"{row.model}, {_line(row)}" for row in rows])
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(parts), frameon=False)
    _finish(figure, rows[0], top=1 - 0.3 / height)
    return figure


def _bars(row: Row) -> list[dict[str, Any]]:
    """The row's layers; for another system, which does not tell them, one entry a phase."""
    if not row.assumes:
        return row.per_layer
    return [
        {
            "phase": phase,
            "kind": "all",
            "seconds": seconds or 0.0,
            "bytes_up": row.environment.get(f"{phase}_bytes") or 0.0,
            "bytes_down": 0.0,
        }
        for phase, seconds in (("offline", row.offline_seconds), ("online", row.online_seconds))
    ]


def _grid(axis: Any, way: str) -> None:
    axis.grid(axis=way, color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)


def _line(row: Row) -> str:
    if row.assumes:
        return f"{row.network}, {row.protocol} mod {row.environment['modulus']}"
    line = row.environment["link"]
    if not line["emulated"]:
        return str(row.network)
    return f"{row.network} ({line['bits_per_second'] / 1e6:g} Mbit/s, {1e3 * line['round_trip']:g} ms)"


def _finish(figure: Any, row: Row, top: float = 1.0) -> None:
    where = row.environment
    bits = "/".join(map(str, where["window_bits"]))
    protocol = row.protocol + (f", n = {bits}" if bits else "")
    kernels = "native kernels" if where["native_kernels"] else "NumPy only"
    threads = f"{where['threads_per_party']} thread{'s' if where['threads_per_party'] > 1 else ''} a party"
    note = f"{protocol}; {where['images']} image(s); {where['cpu']}, both parties, {threads}, {kernels}"
    figure.text(0.01, 0.005, note, fontsize=6.5, color="#666666", va="bottom")
    figure.tight_layout(rect=(0, 0.03, 1, top))
