"""Arrays from files, for the command line: never unpickled."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circa.errors import InputError

__all__ = ["load_inputs"]


def load_inputs(path: Path, mean: str, std: str) -> NDArray[np.floating[Any]]:
    """A batch of inputs: floats as they are; uint8 images, NHWC, as (x/255 − mean) / std in NCHW order."""
    x = _read(path)
    if x.dtype != np.uint8:
        if mean != "0" or std != "1":
            raise InputError(f"{path.name} holds {x.dtype}: --mean and --std are for uint8 images")
        return x
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4:
        raise InputError(
            f"{path.name}: uint8 images have the shape (count, height, width, channels), got {x.shape}"
        )
    means = _numbers(mean, "--mean", x.shape[3])
    deviations = _numbers(std, "--std", x.shape[3])
    if not (deviations > 0).all():
        raise InputError(f"--std takes numbers above 0, got '{std}'")
    scaled = (x.astype(np.float32) / 255 - means) / deviations
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def _numbers(text: str, option: str, channels: int) -> NDArray[np.float32]:
    try:
        numbers = np.array([float(part) for part in text.split(",")], np.float32)
    except ValueError:
        raise InputError(f"{option} takes comma-separated numbers, got '{text}'") from None
    if len(numbers) not in (1, channels) or not np.isfinite(numbers).all():
        raise InputError(f"{option} takes one number, or one for each of {channels} channels, got '{text}'")
    return numbers


def _read(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            tensors = load_file(path)
            return tensors["x"] if "x" in tensors else next(iter(tensors.values()))
        loaded: Any = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if "x" not in loaded:
                raise InputError(f"{path.name} has no array x; it has: {', '.join(loaded) or 'nothing'}")
            array: NDArray[Any] = loaded["x"]
            return array
    except InputError:
        raise
    except (ValueError, KeyError, EOFError, StopIteration, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name} is not a .npy, .npz (with an array x) or .safetensors file") from error
