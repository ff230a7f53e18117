"""`circa infer`."""

from pathlib import Path
from typing import Annotated

import typer

from circa.errors import ParameterError
from circa.protocols.channel import TIMEOUT

from .console import Json, cost_table, emit, out, reporting, track

__all__ = ["infer"]


def infer(
    address: Annotated[str, typer.Argument(help="host:port of a running `circa serve`.")],
    inputs: Annotated[
        Path,
        typer.Argument(
            help="Images: .npy, .npz (array x) or .safetensors, floats as the model takes them or uint8 NHWC."
        ),
    ],
    count: Annotated[int | None, typer.Option(min=1, help="Only the first COUNT inputs.")] = None,
    mean: Annotated[
        str, typer.Option(help="Per-channel mean for uint8 images, comma-separated, after /255.")
    ] = "0",
    std: Annotated[str, typer.Option(help="Per-channel standard deviation, likewise.")] = "1",
    expect: Annotated[
        str | None, typer.Option(help="The model hash to insist on (`circa serve` prints it).")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Inputs in one online pass; by default as many as the server stocks."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the logits to this .npy file.")] = None,
    network: Annotated[
        str,
        typer.Option(help="loopback, lan or wan: how much work OT spends to save bytes."),
    ] = "lan",
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds of silence until the server counts as gone.")
    ] = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Classify inputs privately on a remote model: the server sees neither them nor the result."""
    with reporting(as_json):
        import numpy as np

        from circa.client import connect
        from circa.commands import MAX_IMAGES

        from .data import load_inputs

        if output and not output.parent.is_dir():
            raise ParameterError(f"there is no folder {output.parent} to write {output.name} to")
        x = load_inputs(inputs, mean, std)[:count]
        with (
            connect(address, timeout=timeout, expect=expect, network=network) as session,
            track("offline phase", as_json) as progress,
        ):
            size = batch or min(MAX_IMAGES, session.stock().most_images(session.program))
            parts = [x[start : start + size] for start in range(0, len(x), size)]
            logits = np.concatenate([session.infer(part, progress).numpy() for part in parts])
        classes = logits.reshape(len(logits), -1).argmax(1)
        if output:
            np.save(output, logits)
        report = session.report
        if as_json:
            offline, online = report.total("offline"), report.total("online")
            emit(
                {
                    "images": len(x),
                    "classes": classes.tolist(),
                    "logits": logits.tolist(),
                    "model_hash": session.model_hash,
                    "offline_seconds": offline.milliseconds / 1e3,
                    "online_seconds": online.milliseconds / 1e3,
                    "offline_bytes": offline.bytes_sent + offline.bytes_received,
                    "online_bytes": online.bytes_sent + online.bytes_received,
                    "online_rounds": online.rounds,
                    "per_layer": report.to_dicts(),
                }
            )
            return
        labels = session.program.labels
        for i, k in enumerate(classes):
            out.print(f"input {i:4d}: class [bold]{k}[/]{f' ({labels[k]})' if labels else ''}")
        out.print(cost_table(report.to_dicts(), f"{len(x)} inputs, privately"))
