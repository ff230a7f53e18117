"""Labelled images from files, and the original network where a command can use it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from circa.errors import InputError

from .data import load_inputs

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "Count",
    "Images",
    "Labels",
    "Mean",
    "Model",
    "Plaintext",
    "Std",
    "Weights",
    "load_labelled",
    "original",
]

Model = Annotated[Path, typer.Argument(help="A .circa file, made by `circa convert`.")]
Images = Annotated[
    Path,
    typer.Argument(
        help="Images: .npy, .npz (array x) or .safetensors, floats as the model takes them or uint8 NHWC."
    ),
]
Labels = Annotated[
    Path | None, typer.Option(help="Labels: .npy, or .npz with an array y; by default y beside x in IMAGES.")
]
Count = Annotated[int | None, typer.Option(min=1, help="Only the first COUNT images.")]
Mean = Annotated[str, typer.Option(help="Per-channel mean for uint8 images, comma-separated, after /255.")]
Std = Annotated[str, typer.Option(help="Per-channel standard deviation, likewise.")]
Plaintext = Annotated[
    str | None,
    typer.Option(help="The network that was converted, for comparison: as in `circa convert`."),
]
Weights = Annotated[Path | None, typer.Option(help="Its state dict.")]


def load_labelled(
    images: Path, labels: Path | None, count: int | None, mean: str, std: str
) -> "tuple[Tensor, NDArray[np.int64] | None]":
    """The images as the model takes them, and their labels; None where there are none."""
    import torch

    x = torch.from_numpy(load_inputs(images, mean, std)[:count]).float()
    y = _labels(labels or images, required=labels is not None)
    return x, None if y is None else y[:count]


def original(spec: str | None, weights: Path | None) -> "nn.Module | None":
    from .convert import load_model

    return None if spec is None else load_model(spec, weights)


def _labels(path: Path, required: bool) -> NDArray[np.int64] | None:
    if required and not path.is_file():
        raise InputError(f"there is no file {path}")
    if path.suffix not in (".npz", ".npy") or (path.suffix == ".npy" and not required):
        if required:
            raise InputError(f"{path.name}: labels come in a .npy file, or as y in a .npz file")
        return None
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            with loaded:
                if "y" not in loaded and not required:
                    return None
                loaded = loaded["y"]
    except (ValueError, KeyError, EOFError, OSError) as error:
        raise InputError(f"{path.name} holds no labels: an array y in a .npz file, or a .npy file") from error
    return np.asarray(loaded)
