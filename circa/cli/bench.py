"""`circa bench`: measurements that a user can repeat."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from circa.errors import ParameterError

from .accuracy import accuracy, faults
from .bench_network import network
from .console import Json, emit, out, reporting, track
from .peers import Yes, peers_app, provide

if TYPE_CHECKING:
    from circa.bench.rows import Row
    from circa.bench.suite import Result

__all__ = ["app"]

app = typer.Typer(help="Measure costs, beside other systems where asked for.", no_args_is_help=True)
app.add_typer(peers_app, name="peers")
app.command()(accuracy)
app.command()(faults)
app.command()(network)


@app.command()
def relu(
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="ReLU protocol, may be repeated; all of them by default: delphi, circa-sign,"
            " circa-stochastic, circa, window-garbled, table."
        ),
    ] = None,
    elements: Annotated[int, typer.Option(help="ReLUs in the layer.")] = 1 << 16,
    bits: Annotated[
        str, typer.Option(help="Window bits n, comma-separated: 2 to 8, window-garbled 2 to 16.")
    ] = "4,5,6,8",
    truncate: Annotated[str, typer.Option(help="Circa's truncated bits k, comma-separated.")] = "12,17",
    shift: Annotated[
        str,
        typer.Option(
            help="Bits of the exact rescale, comma-separated; 0 is the ReLU alone, as the papers count it."
        ),
    ] = "0",
    repeats: Annotated[int, typer.Option(help="Repetitions after one that warms up.")] = 5,
    peer: Annotated[
        list[str] | None, typer.Option(help="Measure this system too: crypten or spu; may be repeated.")
    ] = None,
    loopback: Annotated[
        bool, typer.Option("--loopback", help="Also as two processes over TCP; --peer implies it.")
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw relu_cost.png and relu_cost.svg in this folder.")
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """What a ReLU costs: every protocol and every k or n, stored, sent and computed, in one run.

    Everything is per ReLU. Both roles run in one process, one at a time: bytes are counted on their channel
    and must equal the protocol's formula, time is processor time without waiting, both parties added.
    """
    with reporting(as_json):
        from circa.bench import figure as figures
        from circa.bench import suite
        from circa.bench.cases import RELUS, grid
        from circa.bench.peers.environments import by_name

        cases = grid(
            protocol or RELUS,
            elements,
            _numbers(bits, "--bits"),
            _numbers(truncate, "--truncate"),
            _numbers(shift, "--shift"),
        )
        peers = [by_name(name) for name in dict.fromkeys(peer or ())]
        if figure is not None:
            figures.check()
        for one in peers:
            provide(one, yes, as_json)
        with track("measuring", as_json) as progress:
            result = suite.run(cases, repeats, peers, loopback, progress)
        paths = figures.draw(result.rows, figure) if figure is not None else []
        if as_json:
            emit({**result.to_dict(), "figures": [str(path) for path in paths]})
        else:
            _print(result, paths)
    if not result.agrees:
        raise typer.Exit(1)


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(f"{option} takes integers separated by commas, got '{text}'") from None


def _print(result: "Result", paths: list[Path]) -> None:
    where, settings = result.environment, result.settings
    out.print(
        f"{where['cpu']}, {where['cores']} cores, native kernels"
        f" {'on' if where['native_kernels'] else 'off'}; {settings['elements']:,} ReLUs,"
        f" {settings['repeats']} repetitions; everything per ReLU",
        style="dim",
    )
    out.print(_bytes_table(result.rows))
    out.print(_time_table(result.rows))
    for row in result.rows:
        if agreement := row.more.get("agreement"):
            verdict = "agrees" if agreement["agrees"] else "[bold red]DOES NOT AGREE[/]"
            difference = f"{agreement['largest_difference']:.3g}, bound {agreement['bound']:.3g}"
            out.print(
                f"{_label(row)}: {escape(row.assumes)}; {verdict} with"
                f" {agreement['with_protocol']} (largest difference {difference})",
                highlight=False,
            )
    for path in paths:
        out.print(f"wrote {path}", highlight=False, soft_wrap=True)


def _bytes_table(rows: "list[Row]") -> Table:
    columns = ["f", "ANDs", "tables", "stored\nclient", "stored\nserver", "offline\n↑", "offline\n↓"]
    columns += ["online\n↑", "online\n↓", "rounds", "× less\ntables", "× less\nstored", "× less\nonline"]
    caption = "↑ client to server, ↓ server to client; × less than delphi, stored by the client"
    table = _table("bytes", caption, columns)
    for row in rows:
        ratios = row.ratios or {}
        table.add_row(
            _label(row),
            _number(row.shift),
            _number(row.and_gates),
            _number(row.table_bytes),
            _number(row.client_stored_bytes),
            _number(row.server_stored_bytes),
            *_directions(row.offline_bytes_up, row.offline_bytes_down, row.offline_bytes),
            *_directions(row.online_bytes_up, row.online_bytes_down, row.online_bytes),
            _number(row.online_rounds),
            *(_number(ratios.get(name)) for name in ("table_bytes", "client_stored_bytes", "online_bytes")),
        )
    return table


def _time_table(rows: "list[Row]") -> Table:
    columns = ["f", "garble", "evaluate", "offline", "online", "min-max", "M ReLU/s", "× faster\nonline"]
    loopback = any(row.loopback_online_us is not None for row in rows)
    if loopback:
        columns += ["loopback\noffline", "loopback\nonline"]
    caption = "× faster than delphi" + ("; over loopback: wall time of two processes" if loopback else "")
    table = _table("microseconds of processor time, both parties", caption, columns)
    for row in rows:
        walls = (row.loopback_offline_us, row.loopback_online_us) if loopback else ()
        table.add_row(
            _label(row),
            _number(row.shift),
            _number(row.garble_us),
            _number(row.evaluate_us),
            _number(row.offline_us),
            _number(row.online_us),
            f"{_number(row.online_us_min)}-{_number(row.online_us_max)}",
            _number((row.relus_per_second or 0) / 1e6),
            _number((row.ratios or {}).get("online_us")),
            *(_number(wall) for wall in walls),
        )
    return table


def _table(title: str, caption: str, columns: list[str]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("protocol", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _label(row: "Row") -> str:
    """A peer runs in more than one ring."""
    return f"{row.label} {row.modulus}" if "agreement" in row.more else row.label


def _directions(up: float | None, down: float | None, both: float | None) -> tuple[str, str]:
    """A peer's bytes are known for both directions together only."""
    if up is None and both is not None:
        return "both", _number(both)
    return _number(up), _number(down)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
