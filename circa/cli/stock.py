"""`circa stock`."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from circa.protocols.channel import TIMEOUT

from .console import Json, emit, out, reporting, size, track

if TYPE_CHECKING:
    from circa.client import Session
    from circa.stock import StockLevel

__all__ = ["stock"]


def stock(
    address: Annotated[str, typer.Argument(help="host:port of a running `circa serve`.")],
    prepare: Annotated[
        int | None,
        typer.Option(help="Make material for this many images, and show what was expected and what it took."),
    ] = None,
    expect: Annotated[
        str | None, typer.Option(help="The model hash to insist on (`circa serve` prints it).")
    ] = None,
    network: Annotated[
        str,
        typer.Option(help="loopback, lan or wan: how much work OT spends to save bytes."),
    ] = "lan",
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds of silence until the server counts as gone.")
    ] = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Show the material in stock at both parties, what an image takes, and how much the server allows.

    The offline phase makes material before the input is known; every image uses up its own. It belongs to the
    session that made it and ends with it: what --prepare makes here is dropped at the end, so this is a trial
    of what session.prepare(N) will take in a program. The server tells a client about its own session and the
    bound that holds for every client, nothing about others.
    """
    with reporting(as_json):
        from circa.client import connect

        with connect(address, timeout=timeout, expect=expect, network=network) as session:
            found = session.stock()
            trial = None if prepare is None else _prepare(session, prepare, as_json)
        result = _result(session, found, trial)
        if as_json:
            emit(result)
        else:
            out.print(_table(result, address))


def _prepare(session: "Session", images: int, as_json: bool) -> dict[str, Any]:
    from circa.estimate import prepare_traffic
    from circa.stock import stored

    before, start = session.report.total("offline"), time.perf_counter()
    with track("offline phase", as_json) as progress:
        session.prepare(images, progress)
    seconds, after = time.perf_counter() - start, session.report.total("offline")
    level = session.stock()
    held, (sent, received) = (
        stored(session.program, images),
        prepare_traffic(session.program, images, session.ot_k),
    )
    return {
        "images": images,
        "seconds": seconds,
        "expected": _sizes(held.client, held.server, sent, received),
        "measured": _sizes(
            level.client_bytes,
            level.server_bytes,
            after.bytes_sent - before.bytes_sent,
            after.bytes_received - before.bytes_received,
        ),
    }


def _sizes(client: int, server: int, sent: int, received: int) -> dict[str, int]:
    return {
        "client_bytes": client,
        "server_bytes": server,
        "bytes_sent": sent,
        "bytes_received": received,
    }


def _result(session: "Session", level: "StockLevel", trial: dict[str, Any] | None) -> dict[str, Any]:
    from circa.estimate import prepare_traffic
    from circa.stock import image_bytes

    each = image_bytes(session.program)
    return {
        "model_hash": session.model_hash,
        "images": level.images,
        "client_bytes": level.client_bytes,
        "server_bytes": level.server_bytes,
        "image": _sizes(each.client, each.server, *prepare_traffic(session.program, 1, session.ot_k)),
        "limit": {"images": level.limit.images, "server_bytes": level.limit.bytes},
        "most_images": level.most_images(session.program),
        "prepare": trial,
    }


def _table(result: dict[str, Any], address: str) -> Table:
    title = f"Stock at {address}, model {result['model_hash'][:16]}"
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.title_justify = table.caption_justify = "left"
    for column in ("", "images", "client keeps", "server keeps", "traffic ↑", "traffic ↓"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)

    def row(name: str, images: int, sizes: dict[str, Any]) -> None:
        keys = ("client_bytes", "server_bytes", "bytes_sent", "bytes_received")
        table.add_row(name, f"{images:,}", *(size(sizes[key]) if key in sizes else "" for key in keys))

    limit, trial = result["limit"], result["prepare"]
    row("in stock", result["images"], {key: result[key] for key in ("client_bytes", "server_bytes")})
    row("an image takes", 1, result["image"])
    row("bound a client", limit["images"], limit)
    table.caption = f"bound: {result['most_images']:,} images of this model for one client address"
    if trial is not None:
        table.add_section()
        row("expected", trial["images"], trial["expected"])
        row("prepared", trial["images"], trial["measured"])
        table.caption += f"; prepared in {trial['seconds']:.2f} s, and dropped"
    return table
