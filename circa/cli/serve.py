"""`circa serve`."""

import logging
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from circa.protocols.channel import TIMEOUT
from circa.stock import DEFAULT_LIMIT, Limit

from .console import Json, emit, err, reporting

__all__ = ["serve"]

MEMORY_MB = 1024.0


def serve(
    model: Annotated[Path, typer.Argument(help="A .circa file, made by `circa convert`.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 for every interface.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")
    ] = 7766,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds of silence until a client counts as gone.")
    ] = TIMEOUT,
    sessions: Annotated[int, typer.Option(min=1, help="Clients served at one time.")] = 8,
    threads: Annotated[
        int | None, typer.Option(min=1, help="For linear layers online; default: half the cores.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Offline work at one time, of all clients together: threads with the native kernels"
            " (default: one a core), else processes (default: none, each client's own thread works).",
        ),
    ] = None,
    memory: Annotated[
        float,
        typer.Option(
            min=1,
            help="MB of weights that are kept ready for the offline phase; `circa estimate` says how many all"
            " take. What does not fit is made ready again each time. Processes and Ray workers divide it.",
        ),
    ] = MEMORY_MB,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Work on a Ray cluster, host:port of its head (pip install 'circa\\[ray]'). Its machines see"
            " the weights: they must be as trusted as this one. --workers counts all of them then; default:"
            " its cores.",
        ),
    ] = None,
    stock_images: Annotated[
        int, typer.Option(min=1, help="Images for which one client address may have material in stock here.")
    ] = DEFAULT_LIMIT.images,
    stock_memory: Annotated[
        float, typer.Option(min=0.001, help="MB that this material may take here, for each client address.")
    ] = DEFAULT_LIMIT.bytes / 1e6,
    as_json: Json = False,
) -> None:
    """Serve a converted model to private clients until interrupted.

    The server learns neither inputs nor predictions; clients learn the architecture, never a weight. There
    is no encryption of the connection itself and no authentication yet: run it on a network that you trust.
    With --json the first line printed is an object with the address and the model's hash.
    """
    with reporting(as_json):
        import torch

        from circa.server import Server

        # Half the cores: two full pools of spinning threads on one machine stall each other.
        torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) // 2))
        logging.basicConfig(
            level=logging.WARNING if as_json else logging.INFO, format="%(asctime)s  %(message)s"
        )
        with Server(
            model,
            host,
            port,
            timeout=timeout,
            max_sessions=sessions,
            stock_limit=Limit(stock_images, round(stock_memory * 1e6)),
            workers=workers,
            memory=round(memory * 1e6),
            ray=ray,
        ) as server:
            if as_json:
                emit({"address": server.address, "model_hash": server.model_hash, "workers": server.workers})
            else:
                err.print(f"Serving [bold]{model.name}[/] at [bold]{server.address}[/]  (Ctrl-C stops)")
                err.print(f"model hash {server.model_hash}; {server.workers}", highlight=False)
            signal.signal(signal.SIGTERM, lambda *_: server.close())
            try:
                server.wait()
            except KeyboardInterrupt:
                err.print("stopped")
