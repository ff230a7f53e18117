"""`circa check`: does a network convert? Everything that stands in the way, at once."""

from pathlib import Path
from typing import Annotated

import typer

from circa.errors import ConversionError, ParameterError

from .console import Json, emit, out, reporting

__all__ = ["check"]


def check(
    model: Annotated[str, typer.Argument(help="package.module:callable, or one of circa's own networks.")],
    input_shape: Annotated[str, typer.Option(help="Shape of one input, e.g. 3,32,32.")],
    weights: Annotated[Path | None, typer.Option(help="A state dict to load.")] = None,
    as_json: Json = False,
) -> None:
    """Say whether a network converts, and list every part that does not, with what to use instead.

    Traces the network on random inputs; needs neither trained weights nor data. Exit status 1 if it does
    not convert.
    """
    with reporting(as_json):
        import torch

        from circa.converter.capture import capture, inference_copy, try_out
        from circa.converter.conversion import simplify
        from circa.converter.graph import topological
        from circa.converter.verify import check_trace

        from .convert import load_model

        try:
            shape = tuple(int(part) for part in input_shape.split(","))
        except ValueError:
            raise ParameterError(f"--input-shape takes numbers, e.g. 3,32,32, got '{input_shape}'") from None
        network = inference_copy(load_model(model, weights, trained=False))
        x = torch.rand(4, *shape)
        try:
            result = try_out(network, x)
            exported = capture(network, x)
            nodes = topological(simplify(exported))
            check_trace(exported, x, result)
        except ConversionError as error:
            if not as_json:
                raise
            emit({"converts": False, "problems": str(error).splitlines()})
            raise typer.Exit(1) from error
        if as_json:
            emit({"converts": True, "operations": len(nodes)})
        else:
            out.print(f"[bold]{model}[/] converts: {len(nodes)} operations. Next: circa convert {model} DATA")
