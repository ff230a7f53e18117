"""`circa convert`."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from circa.errors import ParameterError

from .console import Json, emit, err, out, reporting, track

if TYPE_CHECKING:
    from torch import nn

__all__ = ["convert", "load_model"]


def convert(
    model: Annotated[
        str,
        typer.Argument(
            help="What makes the network: package.module:callable (found from this folder"
            " too), or one of circa's own, e.g. resnet20."
        ),
    ],
    calibration: Annotated[
        Path,
        typer.Argument(
            help="Typical inputs: .npy, .npz (array x) or .safetensors; floats as"
            " the model takes them or uint8 NHWC images."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("model.circa"),
    weights: Annotated[
        Path | None, typer.Option(help="A state dict to load: .pt (tensors only) or .safetensors.")
    ] = None,
    bits: Annotated[int, typer.Option(min=2, max=8, help="Window bits n of the sign test.")] = 6,
    mode: Annotated[str, typer.Option(help="Fault mode: balanced, poszero or negpass.")] = "balanced",
    relu: Annotated[str, typer.Option(help="ReLU protocol.")] = "table",
    margin: Annotated[float, typer.Option(min=1.0, help="Head room over the calibrated ranges.")] = 1.25,
    weight_bits: Annotated[
        int,
        typer.Option(
            min=2,
            max=14,
            help="Bits of the weights after the point; each costs a quarter byte a ReLU online.",
        ),
    ] = 10,
    count: Annotated[int, typer.Option(min=1, help="Calibration inputs to use.")] = 256,
    mean: Annotated[
        str, typer.Option(help="Per-channel mean for uint8 images, comma-separated, after /255.")
    ] = "0",
    std: Annotated[str, typer.Option(help="Per-channel standard deviation, likewise.")] = "1",
    as_json: Json = False,
) -> None:
    """Convert a trained PyTorch network to a .circa file that `circa serve` can serve.

    Example: circa convert mynet:build calibration.npz --weights mynet.pt -o mynet.circa
    """
    with reporting(as_json):
        import torch

        from circa.converter import convert as convert_model
        from circa.description import model_hash

        from .data import load_inputs

        network = load_model(model, weights)
        x = torch.from_numpy(load_inputs(calibration, mean, std)[:count]).float()
        with track(f"converting {model}", as_json):
            converted = convert_model(
                network, x, relu=relu, bits=bits, mode=mode, margin=margin, weight_bits=weight_bits
            )
        converted.save(output)
        with torch.no_grad():
            agreement = (converted(x).argmax(1) == network.eval()(x).argmax(1)).double().mean().item()
        program = converted.program
        result: dict[str, Any] = {
            "file": str(output),
            "model_hash": model_hash(program),
            "operations": len(program.operations),
            "linear_layers": len(program.linear),
            "relus": program.relus,
            "calibration_agreement": agreement,
        }
        if as_json:
            emit(result)
            return
        out.print(
            f"wrote [bold]{output}[/]: {len(program.linear)} linear layers, {program.relus:,} ReLUs an image"
        )
        out.print(
            f"simulated on {len(x)} calibration inputs: same class as plaintext on [bold]{agreement:.1%}[/]"
        )
        out.print(f"model hash {result['model_hash']}", highlight=False)
        out.print(f"next: circa serve {output}", style="dim")


def load_model(spec: str, weights: Path | None, trained: bool = True) -> "nn.Module":
    """The network that `spec` names, with the state dict of `weights` if given.

    trained: say so where one of circa's own networks would be used with random weights.
    """
    import torch

    import circa.models

    module_name, _, attribute = spec.partition(":")
    if attribute:
        sys.path.insert(0, str(Path.cwd()))
        try:
            builder = getattr(importlib.import_module(module_name), attribute)
        except (ImportError, AttributeError) as error:
            raise ParameterError(f"cannot load {spec}: {error}") from error
        finally:
            sys.path.pop(0)
    elif spec in circa.models.__all__:
        builder = getattr(circa.models, spec)
    else:
        raise ParameterError(
            f"'{spec}' is neither module:callable nor one of {', '.join(circa.models.__all__)}"
        )
    try:
        network = builder if isinstance(builder, torch.nn.Module) else builder()
    except Exception as error:  # whatever the user's code raises
        raise ParameterError(f"{spec} fails: {type(error).__name__}: {error}") from error
    if not isinstance(network, torch.nn.Module):
        raise ParameterError(f"{spec} gives a {type(network).__name__}, not a torch.nn.Module")
    if weights is not None:
        _load(network, _state(weights), f"{weights} does not fit {spec}")
    elif trained and not attribute:
        err.print(f"{spec} without --weights: its weights are random", style="yellow")
    return network.eval()


def _load(network: "nn.Module", state: dict[str, Any], what: str) -> None:
    """load_state_dict, with the first of each kind of difference instead of all."""
    ours = network.state_dict()
    shapes = [name for name in ours if name in state and tuple(state[name].shape) != tuple(ours[name].shape)]
    differences = {
        "lacks": [name for name in ours if name not in state],
        "has unknown": [name for name in state if name not in ours],
        "has another shape of": shapes,
    }
    # a checkpoint from before torch 0.4.1 counts no batches; torch itself lets it pass
    differences["lacks"] = [n for n in differences["lacks"] if not n.endswith("num_batches_tracked")]
    found = [
        f"it {verb} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for verb, names in differences.items()
        if names
    ]
    if found:
        raise ParameterError(
            f"{what}: {'; '.join(found)}. Name the network that the checkpoint was trained as"
        )
    network.load_state_dict(state, strict=False)


def _state(path: Path) -> dict[str, Any]:
    import torch

    if not path.is_file():
        raise ParameterError(f"there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: dict[str, Any] = load_file(path)
            return state
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        inner: dict[str, Any] = loaded.get("state_dict", loaded)
        if all(name.startswith("module.") for name in inner):  # saved from nn.DataParallel
            inner = {name.removeprefix("module."): tensor for name, tensor in inner.items()}
        return inner
    except Exception as error:
        raise ParameterError(f"{path} holds no state dict of tensors ({type(error).__name__})") from error
