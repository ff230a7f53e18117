"""`circa estimate` and `circa summary`: what a .circa file holds and what it will cost."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .console import Json, cost_table, emit, out, reporting, size

__all__ = ["estimate", "summary"]

Model = Annotated[Path, typer.Argument(help="A .circa file, made by `circa convert`.")]


def estimate(
    model: Model,
    images: Annotated[int, typer.Option(min=1, help="Images in one batch.")] = 1,
    network: Annotated[str, typer.Option(help="loopback, lan or wan.")] = "lan",
    bandwidth: Annotated[float | None, typer.Option(min=1e-3, help="Mbit/s, instead of --network's.")] = None,
    latency: Annotated[float | None, typer.Option(min=0, help="Round trip in ms, likewise.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a private inference will cost, before running one.

    Bytes and round trips are exact; seconds are a model of one core a party and the network named.
    """
    with reporting(as_json):
        from circa import container
        from circa.estimate import estimate as predict
        from circa.network import network as named
        from circa.protocols.ot.choice import best_k

        line = named(network, bandwidth, latency)
        program, _ = container.load(model)
        ot_k = best_k(line.bits_per_second)
        predicted = predict(program, images, ot_k)
        place = {op.name: i for i, op in enumerate(program.operations)}
        ordered = sorted(predicted.rows, key=lambda row: place.get(row.layer, -1))
        rows = [{**asdict(row), "milliseconds": 1e3 * row.seconds(line)} for row in ordered]
        totals = {phase: predicted.total(phase, line) for phase in ("offline", "online")}
        memory = {
            "client_stored_bytes": predicted.client_stored,
            "server_stored_bytes": predicted.server_stored,
            "server_weight_bytes": predicted.server_weights,
        }
        if as_json:
            emit(
                {
                    "images": images,
                    "network": asdict(line),
                    "ot_k": ot_k,
                    **totals,
                    **memory,
                    "per_layer": rows,
                }
            )
            return
        out.print(cost_table(rows, f"{model.name}: {images} image(s) over {line.name}, estimated"))
        for phase, total in totals.items():
            out.print(
                f"{phase:8s} {total['seconds']:.3f} s   ↑ {size(total['bytes_sent'])}   ↓"
                f" {size(total['bytes_received'])}   {total['rounds']} round trips"
            )
        out.print(
            f"stored   client {size(predicted.client_stored)}, server {size(predicted.server_stored)} between"
            f" the phases; prepared weights {size(predicted.server_weights)} at the server"
        )


def summary(model: Model) -> None:
    """Show a converted network layer by layer: shapes, scales, windows, ReLUs, cost."""
    with reporting(False):
        from circa import container
        from circa.summary import summary as table

        out.print(table(container.load(model)[0]))
