"""`circa bench accuracy` and `circa bench faults`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from circa.errors import InputError, ParameterError

from .console import Json, emit, out, reporting, size, track
from .labels import Count, Images, Labels, Mean, Model, Plaintext, Std, Weights, load_labelled, original

if TYPE_CHECKING:
    from circa.accuracy import LayerFaults, Sweep

__all__ = ["accuracy", "faults"]


def accuracy(
    model: Model,
    images: Images,
    labels: Labels = None,
    bits: Annotated[str | None, typer.Option(help="Window bits n, comma-separated.")] = None,
    truncate: Annotated[str | None, typer.Option(help="Circa's truncated bits k, comma-separated.")] = None,
    mode: Annotated[str, typer.Option(help="Fault modes, comma-separated.")] = "balanced,poszero,negpass",
    runs: Annotated[int, typer.Option(min=1, help="Simulations of each setting, with other shares.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated shares.")] = 0,
    count: Count = None,
    mean: Mean = "0",
    std: Std = "1",
    plaintext: Plaintext = None,
    weights: Weights = None,
    figure: Annotated[Path | None, typer.Option(help="Draw accuracy.png and .svg in this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Accuracy against n (windows) or k (Circa as published) for each fault mode, by bit-exact simulation.

    Nothing is encrypted or sent. Without --bits and --truncate: the parameters of the file's own protocol.
    """
    with reporting(as_json):
        from circa.accuracy import sweep
        from circa.accuracy.figure import draw
        from circa.accuracy.sweep import default_settings, plain_classes
        from circa.bench.figure import check
        from circa.model import ConvertedModel

        if figure is not None:
            check()
        converted = ConvertedModel.load(model)
        x, y = load_labelled(images, labels, count, mean, std)
        if y is None:
            raise InputError(f"{images.name} has no labels y: name a file with --labels")
        network = original(plaintext, weights)
        chosen = (numbers(bits, "--bits"), numbers(truncate, "--truncate"))
        n, k = chosen if any(chosen) else default_settings(converted.program)
        with track("simulating", as_json) as progress:
            result = sweep(
                converted,
                x,
                y,
                bits=n,
                truncate=k,
                modes=tuple(mode.split(",")),
                plaintext=None if network is None else plain_classes(network, x),
                runs=runs,
                seed=seed,
                progress=progress,
            )
        paths = [] if figure is None else draw(result, figure)
        if as_json:
            emit({"model": str(model), **result.to_dict(), "figures": [str(path) for path in paths]})
            return
        out.print(_sweep_table(result, model.name))
        for path in paths:
            out.print(f"wrote {path}", highlight=False, soft_wrap=True)


def faults(
    model: Model,
    images: Images,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated shares.")] = 0,
    count: Count = None,
    mean: Mean = "0",
    std: Std = "1",
    as_json: Json = False,
) -> None:
    """Faults of the sign test by layer, predicted from the activations and counted in a simulation, and the
    values that leave their windows.
    """
    with reporting(as_json):
        from circa.accuracy import fault_rates
        from circa.accuracy.score import interval
        from circa.model import ConvertedModel

        converted = ConvertedModel.load(model)
        x, _ = load_labelled(images, None, count, mean, std)
        residues, done = converted.encode(x), 0
        with track("simulating", as_json) as progress:

            def advance(more: int) -> None:
                nonlocal done
                done += more
                progress("", done, len(x))

            layers, leaving = fault_rates(converted.program, converted.linear, residues, seed, advance)
        low, high = interval(leaving / len(x), len(x))
        if as_json:
            emit({"model": str(model), **_faults_json(layers), "images": len(x), "seed": seed,
                  "images_outside": leaving, "outside_probability": leaving / len(x),
                  "outside_probability_interval": [low, high]})  # fmt: skip
            return
        out.print(_faults_table(layers, f"{model.name}: faults of the sign test, {len(x):,} images"))
        out.print(
            f"a value outside its window in {leaving} of {len(x)} images:"
            f" {leaving / len(x):.1%} (95 %: {low:.1%} to {high:.1%})",
            highlight=False,
        )


def numbers(text: str | None, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ParameterError(f"{option} takes integers separated by commas, got '{text}'") from None


def _sweep_table(result: "Sweep", name: str) -> Table:
    table = Table(title=f"{name}: {result.images:,} images, accuracy in %", box=box.SIMPLE, pad_edge=False)
    table.title_justify = table.caption_justify = "left"
    low, high = result.exact_interval
    plain = "" if result.plaintext is None else f"PyTorch {result.plaintext:.1f}, "
    table.caption = (
        f"{plain}fixed point without faults {result.exact:.1f} ({low:.1f} to {high:.1f});"
        f" intervals 95 % binomial, differences on the same images ± one standard error"
    )
    for column in ("mode", "n", "k", "accuracy", "95 %", "to fixed point", "same class", "online"):
        table.add_column(column, justify="left" if column == "mode" else "right", no_wrap=True)
    for point in result.points:
        score = point.score
        table.add_row(
            point.mode,
            "by layer" if point.n is point.k is None else "" if point.n is None else str(point.n),
            "" if point.k is None else str(point.k),
            f"{score.accuracy:.1f}",
            f"{score.low:.1f} to {score.high:.1f}",
            f"{score.difference:+.1f} ± {score.spread:.1f}",
            f"{score.agreement:.1f}",
            size(point.online_bytes),
        )
    return table


def _faults_table(layers: "list[LayerFaults]", title: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, pad_edge=False)
    table.title_justify = table.caption_justify = "left"
    table.caption = "outside: values beyond the window, whose sign is wrong, per image; any: images with one"
    for column in ("layer", "window", "tests", "predicted", "measured", "outside", "any"):
        table.add_column(column, justify="left" if column in ("layer", "window") else "right", no_wrap=True)
    for row in layers:
        table.add_row(row.layer, row.window, *_fault_cells(row.tests, row.predicted, row.measured, row.images,
                      row.outside), f"{row.images_outside / row.images:.1%}")  # fmt: skip
    table.add_section()
    tests, expected, counted, outside = (
        sum(getattr(row, name) for row in layers) for name in ("tests", "predicted", "measured", "outside")
    )
    table.add_row(
        "total", "", *_fault_cells(tests, expected, counted, layers[0].images, outside), style="bold"
    )
    return table


def _fault_cells(tests: int, expected: float, counted: int, images: int, outside: int) -> tuple[str, ...]:
    return (
        f"{tests // images:,}",
        f"{expected / tests:.3%}",
        f"{counted / tests:.3%}",
        f"{outside / images:.3g}",
    )


def _faults_json(layers: "list[LayerFaults]") -> dict[str, Any]:
    from dataclasses import asdict

    rows = [
        {**asdict(row), "predicted_rate": row.predicted_rate, "measured_rate": row.measured_rate}
        for row in layers
    ]
    return {"per_layer": rows}
