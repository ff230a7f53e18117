"""`circa bench network`: whole private inferences over emulated lines."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from circa.commands import MAX_IMAGES
from circa.errors import ParameterError

from .console import Json, emit, out, reporting, track
from .peers import Yes
from .peers import provide as provide_peer

if TYPE_CHECKING:
    from circa.bench.inference import Row

__all__ = ["network"]


def network(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="resnet20, resnet32, resnet18, vgg16, resnet18_64 (64x64), mnist_b, or the path of a .circa"
            " file; may be repeated. Default: resnet20."
        ),
    ] = None,
    line: Annotated[
        list[str] | None,
        typer.Option(
            "--network", help="loopback, lan (1 Gbit/s, 1 ms) or wan (100 Mbit/s, 40 ms); may be repeated."
        ),
    ] = None,
    bandwidth: Annotated[float | None, typer.Option(help="Mbit/s, instead of the network's.")] = None,
    latency: Annotated[float | None, typer.Option(help="Round trip in ms, instead of the network's.")] = None,
    relu: Annotated[str, typer.Option(help="ReLU protocol; `circa bench relu --help` lists them.")] = "table",
    bits: Annotated[int, typer.Option(help="Window bits n of the sign test.")] = 6,
    images: Annotated[int, typer.Option(help="Images in one batch.")] = 1,
    repeat: Annotated[int, typer.Option(help="Sessions after one that finds everything cold.")] = 3,
    threads: Annotated[int, typer.Option(help="PyTorch's threads, each party.")] = 1,
    workers: Annotated[
        int | None, typer.Option(min=1, help="The server's workers for linear layers; default: --threads.")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(help="Run the networks in this system too, over loopback: crypten or spu; repeatable."),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="A table of layers for every row, too.")] = False,
    trace: Annotated[
        Path | None, typer.Option(help="Write a Chrome trace of both parties (Perfetto, speedscope).")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw seconds and bytes, stacked, in this file (.png, .svg, .pdf).")
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """What a private inference costs over a line: seconds, bytes, round trips, memory, offline and online.

    Server and client are two processes of this machine; between them a relay holds every byte back as long
    as the line would. With --json every row is one object on a line of its own. A row is the median of
    --repeat sessions, each from the connection to the logits.
    """
    with reporting(as_json):
        from circa.bench import network_figure as figures
        from circa.bench import trace as traces
        from circa.bench.architectures import find, provide
        from circa.bench.inference import Measured, Row, measure
        from circa.bench.peers import inference as peer_inference
        from circa.bench.peers.environments import by_name
        from circa.network import network as named
        from circa.protocols.relu import modulus_for

        for option, value, top in (
            ("images", images, MAX_IMAGES),
            ("repeat", repeat, 100),
            ("threads", threads, 256),
        ):
            if not 1 <= value <= top:
                raise ParameterError(f"--{option} {value} is outside 1 to {top}")
        lines = [named(name, bandwidth, latency) for name in dict.fromkeys(line or ["loopback"])]
        subjects = {name: find(name) for name in model or ["resnet20"]}
        modulus_for(relu)  # an unknown protocol is refused before the conversion
        peers = [by_name(name) for name in dict.fromkeys(peer or ())]
        if figure is not None:
            figures.check(figure)
        for one in peers:
            provide_peer(one, yes, as_json)
        measured: list[Measured] = []
        rows: list[Row] = []

        def add(row: Row) -> None:
            rows.append(row)
            if as_json:
                emit(row.to_dict())

        with tempfile.TemporaryDirectory(prefix="circa-bench-") as folder:
            for name, subject in subjects.items():
                with track(f"converting {name}", as_json) as progress:
                    label, path, program = provide(subject, Path(folder), relu, bits, progress)
                for link in lines:
                    with track(f"{label}, {link.name}", as_json) as progress:
                        run = measure(label, path, program, link, images, repeat, threads, workers, progress)
                    measured.append(run)
                    add(run.row)
                for one in peers:
                    with track(f"{label}, {one.name}", as_json) as progress:
                        for row in peer_inference.measure(one, label, path, images, repeat, progress):
                            add(row)
        written = []
        if trace is not None:
            traces.write(measured, trace)
            written.append(trace)
        if figure is not None:
            figures.draw(rows, figure)
            written.append(figure)
        if as_json:
            return
        _print(rows, layers)
        for file in written:
            out.print(f"wrote {file}", highlight=False, soft_wrap=True)


def _print(rows: "list[Row]", layers: bool) -> None:
    where = rows[0].environment
    bits = "".join(f", n = {n}" for n in where["window_bits"])
    out.print(
        f"{rows[0].protocol}{bits}, modulus {where['modulus']}, {where['images']} image(s); median of"
        f" {where['repeat']} session(s); {where['cpu']}, {where['cores']} cores, {where['threads_per_party']}"
        f" thread(s) a party, native kernels {'on' if where['native_kernels'] else 'off'}",
        style="dim",
    )
    page = out if out.is_terminal else Console(width=150)  # in a file or pipe, nothing needs to be cut
    page.print(_totals(rows))
    for row in rows:
        if layers and not row.assumes:
            page.print(_layers(row))
        if row.assumes:
            page.print(
                f"{row.protocol}, modulus {row.environment['modulus']}: {row.assumes}",
                highlight=False,
                markup=False,
            )


def _totals(rows: "list[Row]") -> Table:
    caption = (
        "MB ↑ client to server, ↓ back; further: in a session that goes on; stored, peak: client/server, MB,"
        " peak resident memory of a process"
    )
    table = _table("", caption)
    table.add_column("\nnetwork", no_wrap=True)
    table.add_column("\nline", no_wrap=True)
    table.add_column("\nprotocol", no_wrap=True)
    for group, columns in (
        ("offline", ("s", "further", "MB ↑", "MB ↓")),
        ("online", ("s", "MB ↑", "MB ↓", "trips")),
        ("stored", ("MB",)),
        ("peak", ("MB",)),
    ):
        for i, column in enumerate(columns):
            table.add_column(f"{'' if i else group}\n{column}", justify="right", no_wrap=True)
    for row in rows:
        moved = [row.offline_bytes_up, row.offline_bytes_down, row.online_bytes_up, row.online_bytes_down]
        cells = ["" if count is None else f"{count / 1e6:.2f}" for count in moved]
        if row.assumes:
            cells[1], cells[3] = (_both_ways(row, phase) for phase in ("offline", "online"))
        table.add_row(
            row.model,
            row.network,
            row.protocol,
            _seconds(row.offline_seconds, 2),
            _seconds(row.further.get("offline_seconds"), 2),
            *cells[:2],
            _seconds(row.online_seconds, 3),
            *cells[2:],
            "" if row.online_rounds is None else str(row.online_rounds),
            _both(row.client_stored_bytes, row.server_stored_bytes),
            _both(row.peak_rss_client, row.peak_rss_server),
        )
    return table


def _layers(row: "Row") -> Table:
    caption = "ms at the client, waiting included; peak resident memory meanwhile: client/server, MB"
    table = _table(f"{row.model} over {row.network}, by layer", caption)
    for column in ("\nlayer", "\nkind"):
        table.add_column(column, no_wrap=True)
    for phase in ("offline", "online"):
        for column in ("ms", "kB ↑", "kB ↓", "trips", "peak"):
            table.add_column(f"{phase if column == 'ms' else ''}\n{column}", justify="right", no_wrap=True)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for layer in row.per_layer:
        if layer["seconds"]:  # the rest is the server's own work
            found.setdefault(layer["layer"], {})[layer["phase"]] = layer
    for name, phases in found.items():
        kind = next(iter(phases.values()))["kind"]
        table.add_row(name, kind, *_cells(phases.get("offline")), *_cells(phases.get("online")))
    return table


def _cells(layer: dict[str, Any] | None) -> tuple[str, ...]:
    if layer is None:
        return ("",) * 5
    values = (1e3 * layer["seconds"], layer["bytes_up"] / 1e3, layer["bytes_down"] / 1e3)
    return (
        *(f"{value:,.{1 if value < 100 else 0}f}" for value in values),
        str(layer["rounds"]),
        _both(layer["peak_rss_client"], layer["peak_rss_server"]),
    )


def _seconds(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _both_ways(row: "Row", phase: str) -> str:
    """A peer's bytes are counted on its line, both ways together."""
    count = row.environment.get(f"{phase}_bytes")
    return "" if count is None else f"⇅ {count / 1e6:.1f}"


def _both(client: int | None, server: int | None) -> str:
    """Two numbers of bytes in MB; a dash for none."""
    return "/".join(f"{count / 1e6:.0f}" if count else "-" for count in (client, server))


def _table(title: str, caption: str) -> Table:
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.title_justify = table.caption_justify = "left"
    return table
