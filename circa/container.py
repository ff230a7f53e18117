"""A converted model in one file: `.circa`, which is a safetensors file (no pickle, nothing is executed).

    metadata   format     version of this layout
               library    version of circa that wrote the file
               program    the public description, canonical JSON (description.py)
               sha256     of everything above and of all tensors: a damaged file is found, a forged one is not
    tensors    "<layer>.weight", "<layer>.bias", and "<activation>.range", what its windows have to hold (for
               circa/accuracy/windows.py; the protocol does not need it), in the narrowest of int8 to int64

Loading checks all of it, and the weights against the program: names, shapes, ranges.
"""

import hashlib
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from circa import __version__
from circa.description import from_json, to_json
from circa.errors import FileError, ParameterError
from circa.program import Program

__all__ = ["FORMAT", "check_weights", "load", "save"]

FORMAT = "2"
REMEDY = "copy or download the file again, or convert the model again"
Weights = dict[str, NDArray[np.int64]]


def save(path: str | os.PathLike[str], program: Program, weights: Mapping[str, NDArray[np.int64]]) -> None:
    """Write the file; a file that was there is replaced only when the new one is complete.

    Raises ParameterError for weights that do not fit the program, FileError where the file cannot be written.
    """
    check_weights(program, weights)
    tensors = {name: _narrow(weights[name]) for name in sorted(weights)}
    metadata = {"format": FORMAT, "library": __version__, "program": to_json(program).decode("ascii")}
    metadata["sha256"] = _digest(metadata, tensors)
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    try:
        partial.write_bytes(safetensors.numpy.save(tensors, metadata))
        partial.replace(target)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror}") from error


def load(path: str | os.PathLike[str]) -> tuple[Program, Weights]:
    """The program and its weights. Raises FileError, naming the part of the file that is wrong and the
    remedy.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata)
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (SafetensorError, TypeError, ValueError) as error:  # the latter two: a dtype that NumPy lacks
        raise FileError(
            f"{path}: the header or the tensors are damaged or cut off ({error}); {REMEDY}"
        ) from error
    if _digest(metadata, tensors) != metadata["sha256"]:
        raise FileError(f"{path}: the contents do not match their checksum; {REMEDY}")
    try:
        program = from_json(metadata["program"].encode())
    except ParameterError as error:
        raise FileError(f"{path}: the program is not valid: {error}; convert the model again") from error
    try:
        check_weights(program, tensors)
    except ParameterError as error:
        raise FileError(
            f"{path}: the weights do not fit the program: {error}; convert the model again"
        ) from error
    return program, {name: tensor.astype(np.int64) for name, tensor in tensors.items()}


def check_weights(program: Program, weights: Mapping[str, NDArray[np.int64]]) -> None:
    """Raise ParameterError unless there is one weight array of the right shape and range for every linear
    layer, at most one bias for it, at most one range for every activation, and nothing else.
    """
    expected: set[str] = set()
    half = program.modulus.value // 2
    for op in program.linear:
        name, bias = f"{op.name}.weight", weights.get(f"{op.name}.bias")
        if name not in weights:
            raise ParameterError(f"{name} is missing")
        try:
            op.geometry.check_weights(weights[name])
        except ParameterError as error:
            raise ParameterError(f"{name}: {error}") from None
        expected.add(name)
        if bias is None:
            continue
        expected.add(f"{op.name}.bias")
        if bias.dtype.kind != "i" or bias.shape != (op.geometry.out_channels,):
            raise ParameterError(
                f"{op.name}.bias: {bias.dtype} {bias.shape} for {op.geometry.out_channels} channels"
            )
        if bias.min() < -half or bias.max() >= half:
            raise ParameterError(f"{op.name}.bias: values beyond half the modulus")
    expected |= _check_ranges(program, weights)
    if weights.keys() != expected:
        raise ParameterError(f"no layer has {', '.join(sorted(weights.keys() - expected))}")


def _check_ranges(program: Program, weights: Mapping[str, NDArray[np.int64]]) -> set[str]:
    """The names of the ranges that are there."""
    present = {f"{op.name}.range": op for op in program.activations if f"{op.name}.range" in weights}
    for name, op in present.items():
        held = weights[name]
        if (
            held.dtype.kind != "i"
            or held.shape not in ((2, 1), (2, op.shape[0]))
            or np.any(held[0] >= held[1])
        ):
            raise ParameterError(f"{name}: {held.dtype} {held.shape} for {op.shape[0]} channels, or empty")
    return set(present)


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    if "format" not in metadata:
        raise FileError(
            f"{path}: the metadata has no format: this is a safetensors file, but not one of circa"
        )
    if metadata["format"] != FORMAT:
        raise FileError(
            f"{path}: format {metadata['format'][:20]!r}, this version of circa ({__version__}) reads"
            f" {FORMAT!r}; install circa {metadata.get('library', '')[:20]}, or convert the model again"
        )
    if metadata.keys() != {"format", "library", "program", "sha256"}:
        raise FileError(f"{path}: the metadata are incomplete; {REMEDY}")


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, NDArray[np.signedinteger]]) -> str:
    """Every part goes in with its length, so that no two contents are the same bytes."""
    digest = hashlib.sha256()
    for name in ("format", "library", "program"):
        _update(digest, name.encode(), metadata[name].encode())
    for name, tensor in tensors.items():
        kind = f"{tensor.dtype.str} {tensor.shape}"
        _update(digest, name.encode(), kind.encode(), np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def _update(digest: "hashlib._Hash", *parts: bytes) -> None:
    for part in parts:
        digest.update(struct.pack("<Q", len(part)))
        digest.update(part)


def _narrow(values: NDArray[np.int64]) -> NDArray[np.signedinteger]:
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if info.min <= values.min(initial=0) and values.max(initial=0) <= info.max:
            return np.ascontiguousarray(values, dtype)
    return np.ascontiguousarray(values)
