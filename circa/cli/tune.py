"""`circa tune`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from .accuracy import numbers
from .console import Json, emit, err, out, reporting, size, track
from .labels import Count, Images, Labels, Mean, Model, Std, load_labelled

if TYPE_CHECKING:
    from circa.accuracy import Tuned
    from circa.accuracy.tuning import Setting

__all__ = ["tune"]


def tune(
    model: Model,
    images: Images,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; by default MODEL.tuned.circa.")
    ] = None,
    labels: Labels = None,
    budget: Annotated[
        float, typer.Option(min=0.0, help="Points below fixed point without faults that may be lost.")
    ] = 0.1,
    bits: Annotated[str, typer.Option(help="Window bits n to choose from, comma-separated.")] = "3,4,5,6,7,8",
    evaluations: Annotated[int, typer.Option(min=5, help="Simulations of mixed settings.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated shares.")] = 0,
    count: Count = None,
    mean: Mean = "0",
    std: Std = "1",
    figure: Annotated[Path | None, typer.Option(help="Draw pareto.png and .svg in this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Choose the window of every layer so that online bytes are few and accuracy stays within a budget.

    With labels the accuracy counts, without them the agreement with the network without faults. Take images
    other than those on which you report the accuracy. Exit status 1 if nothing is within the budget.
    """
    with reporting(as_json):
        from circa.accuracy.front import draw
        from circa.accuracy.tuning import tune as search
        from circa.bench.figure import check
        from circa.model import ConvertedModel

        if figure is not None:
            check()
        converted = ConvertedModel.load(model)
        x, y = load_labelled(images, labels, count, mean, std)
        with track("tuning", as_json) as progress:
            result = search(
                converted,
                x,
                y,
                budget=budget,
                bits=numbers(bits, "--bits"),
                evaluations=evaluations,
                seed=seed,
                progress=progress,
            )
        target = output or model.with_suffix(".tuned.circa")
        if result.satisfied:
            result.model.save(target)
        paths = [] if figure is None else draw(result, figure)
        if as_json:
            written = str(target) if result.satisfied else None
            emit({**result.to_dict(), "file": written, "figures": [str(path) for path in paths]})
        else:
            _print(result, model.name, target, paths)
    if not result.satisfied:
        raise typer.Exit(1)


def _print(result: "Tuned", name: str, target: Path, paths: list[Path]) -> None:
    what = "accuracy" if result.labelled else "agreement"
    out.print(
        _front_table(result, f"{name}: Pareto front of {len(result.settings)} simulated settings", what)
    )
    out.print(", ".join(f"{layer} {n}" for layer, n in result.chosen.bits.items()), highlight=False)
    after, before = result.chosen.online_bytes, result.before_bytes
    out.print(
        f"online {size(before)} an image before, [bold]{size(after)}[/] after ({after / before - 1:+.1%});"
        f" {what} {result.confirmed.accuracy:.1f} %, {result.confirmed.difference:+.2f} ±"
        f" {result.confirmed.spread:.2f} points to fixed point (two runs, {result.images:,} images,"
        f" {result.seconds:.0f} s)",
        highlight=False,
    )
    for path in paths:
        out.print(f"wrote {path}", highlight=False, soft_wrap=True)
    if result.satisfied:
        out.print(f"wrote [bold]{target}[/]", highlight=False, soft_wrap=True)
    else:
        err.print(
            f"no setting is within {result.budget:g} points on these images; nothing was written. Allow more"
            " with --budget, more bits with --bits, or give more images",
            highlight=False,
        )


def _front_table(result: "Tuned", title: str, what: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, pad_edge=False)
    table.title_justify = table.caption_justify = "left"
    table.caption = (
        f"{what} on the same {result.images:,} images, one run each, ± one standard error;"
        f" fixed point without faults {result.exact:.1f} %; budget {result.budget:g} points"
    )
    for column in ("online", "bits by layer", what, "to fixed point", ""):
        justify = "left" if column in ("bits by layer", "") else "right"
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for setting in result.front:
        chosen = "chosen" if setting is result.chosen else ""
        table.add_row(
            size(setting.online_bytes),
            _bits(setting),
            f"{setting.score.accuracy:.1f}",
            f"{setting.score.difference:+.2f} ± {setting.score.spread:.2f}",
            chosen,
            style="bold" if chosen else None,
        )
    return table


def _bits(setting: "Setting") -> str:
    """All layers' n in a row, one digit each where possible."""
    separator = "" if max(setting.bits.values()) < 10 else " "
    return f"all {setting.uniform}" if setting.uniform else separator.join(map(str, setting.bits.values()))
