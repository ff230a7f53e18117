"""`circa debug`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from circa.errors import ParameterError

from .console import Json, emit, err, out, reporting, track
from .labels import Images, Mean, Model, Plaintext, Std, Weights, load_labelled, original

if TYPE_CHECKING:
    from circa.debug import LayerDifference

__all__ = ["debug"]


def debug(
    model: Model,
    images: Images,
    count: Annotated[int, typer.Option(min=1, help="Only the first COUNT images.")] = 1,
    mean: Mean = "0",
    std: Std = "1",
    plaintext: Plaintext = None,
    weights: Weights = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulated shares instead of both parties.")
    ] = False,
    address: Annotated[
        str | None, typer.Option(help="Run over TCP at this loopback address instead of in memory.")
    ] = None,
    as_json: Json = False,
) -> None:
    """INSECURE: compare a private inference with plaintext, layer by layer, on this machine.

    Both parties run in this process and their shares are added up. Exit status 1 where the private result is
    not the simulated one, bit for bit.
    """
    with reporting(as_json):
        from circa.debug import STAMP, compare_layers
        from circa.model import ConvertedModel

        if simulate and address is not None:
            raise ParameterError("--simulate runs no parties: leave --address out")
        if not as_json:
            err.print(f"[bold red]{STAMP}[/]")
        converted = ConvertedModel.load(model)
        x, _ = load_labelled(images, None, count, mean, std)
        with track("both parties", as_json or simulate) as progress:
            rows = compare_layers(
                converted,
                x,
                original(plaintext, weights),
                private=not simulate,
                address=address,
                progress=progress,
            )
        equal = not any(row.unequal for row in rows)
        if as_json:
            emit({"insecure": STAMP, "images": len(x), "private": not simulate, "equals_simulation": equal,
                  "per_layer": [asdict(row) for row in rows]})  # fmt: skip
        else:
            out.print(_table(rows, f"{Path(model).name}: {len(x)} image(s), {STAMP}"))
            if not simulate:
                verdict = (
                    "equals the simulation bit for bit"
                    if equal
                    else "[bold red]DIFFERS from the simulation[/]"
                )
                out.print(f"the private inference {verdict}")
    if not equal:
        raise typer.Exit(1)


def _table(rows: "list[LayerDifference]", title: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, pad_edge=False)
    table.title_justify = table.caption_justify = "left"
    table.caption = (
        "unequal: residues that are not the simulation's; differences: largest and root mean square, to fixed"
        " point without faults and to PyTorch"
    )
    table.add_column("\nlayer", overflow="fold")
    table.add_column("\noperation", no_wrap=True, style="dim")
    for column in (
        "\nlargest",
        "\nunequal",
        "fixed point\nlargest",
        "\nr.m.s.",
        "PyTorch\nlargest",
        "\nr.m.s.",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        values = (row.fixed_largest, row.fixed_rms, row.plaintext_largest, row.plaintext_rms)
        unequal = "" if row.unequal is None else f"{row.unequal:,}"
        table.add_row(
            row.layer,
            row.kind,
            f"{row.largest:.3g}",
            unequal,
            *("" if value is None else f"{value:.2g}" for value in values),
            style="bold red" if row.unequal else None,
        )
    return table
