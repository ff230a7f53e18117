"""The `circa` command. Every command imports what it needs when it runs, so that `--help` is instant."""

import typer

from . import bench, check, convert, debug, demo, estimate, infer, serve, stock, tune

__all__ = ["app"]

app = typer.Typer(
    help="Private neural-network inference: the client's input and the server's model stay secret.",
    epilog="Start with `circa demo`. Then `circa convert` a model, `circa serve` it, `circa infer` there.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # flows paragraphs to the width of the terminal
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(convert.convert)
app.command()(check.check)
app.command()(estimate.estimate)
app.command()(estimate.summary)
app.command()(tune.tune)
app.command()(debug.debug)
app.command()(serve.serve)
app.command()(infer.infer)
app.command()(stock.stock)
app.add_typer(bench.app, name="bench")
