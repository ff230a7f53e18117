"""The public description of a converted network as canonical JSON, and back.

It is what a .circa file carries beside the weights and, without what the server alone has use for
(`announcement`), what the server sends in the handshake. A program has exactly one encoding (sorted keys, no
spaces, ASCII), so its SHA-256 names the model. The dataclasses of `program.py` are the schema: every field is
present, nothing else is, and the types are those of the annotations.

`from_json` reads bytes of an untrusted peer: the size is limited, every type is checked, shapes and scales
are recomputed (`shapes.check_program`) and the protocol's name must be known.
"""

import dataclasses
import hashlib
import json
import types
import typing
from typing import Any

from circa.errors import ParameterError
from circa.masks import Bits
from circa.program import (
    Activate,
    Add,
    Concat,
    Input,
    Linear,
    Operation,
    Pad,
    Pool,
    Program,
    Reshape,
    Scale,
    Select,
    Slice,
)
from circa.protocols.relu import NAMES
from circa.protocols.shares import Modulus
from circa.shapes import MAX_OPERATIONS, check_program

__all__ = ["FORMAT", "MAX_BYTES", "announcement", "describe", "from_json", "model_hash", "to_json"]

FORMAT = 2
MAX_BYTES = 1 << 26
MAX_TEXT = 1024  # characters of a name or label
KINDS: dict[str, type[Operation]] = {
    kind.__name__: kind
    for kind in (Input, Linear, Activate, Pool, Pad, Slice, Reshape, Select, Scale, Add, Concat)
}


def describe(program: Program) -> dict[str, Any]:
    """The program as plain dictionaries, lists, integers and strings."""
    return {
        "format": FORMAT,
        "labels": list(program.labels),
        "modulus": program.modulus.value,
        "operations": [{"kind": type(op).__name__, **dataclasses.asdict(op)} for op in program.operations],
        "relu": program.relu,
    }


def to_json(program: Program) -> bytes:
    return json.dumps(describe(program), sort_keys=True, separators=(",", ":")).encode("ascii")


def announcement(program: Program) -> bytes:
    """The description for the client: positive cells are the business of the server's tables alone."""

    def public(op: Operation) -> Operation:
        if isinstance(op, Activate) and op.window is not None:
            return dataclasses.replace(op, window=dataclasses.replace(op.window, positive=()))
        return op

    return to_json(dataclasses.replace(program, operations=tuple(map(public, program.operations))))


def model_hash(program: Program) -> str:
    """SHA-256 of the announcement, in hexadecimal: what the two parties compare."""
    return hashlib.sha256(announcement(program)).hexdigest()


def from_json(data: bytes) -> Program:
    """The program that `data` describes.

    Raises ParameterError, naming the operation, for anything but the canonical encoding of a valid program.
    """
    if len(data) > MAX_BYTES:
        raise ParameterError(f"a description of {len(data)} bytes; at most {MAX_BYTES} are accepted")
    try:
        described = json.loads(data)
    except (ValueError, RecursionError):
        raise ParameterError("the description is not JSON") from None
    fields = _fields(described, {"format", "labels", "modulus", "operations", "relu"}, "the description")
    if _typed(int, fields["format"], "format") != FORMAT:
        raise ParameterError(f"the description has format {fields['format']}, this version reads {FORMAT}")
    entries = fields["operations"]
    if not isinstance(entries, list) or len(entries) > MAX_OPERATIONS:
        raise ParameterError(f"operations: expected a list of at most {MAX_OPERATIONS}")
    program = Program(
        operations=tuple(_operation(i, entry) for i, entry in enumerate(entries)),
        modulus=Modulus(_typed(int, fields["modulus"], "modulus")),
        relu=_protocol(fields["relu"]),
        labels=_typed(tuple[str, ...], fields["labels"], "labels"),
    )
    check_program(program)
    if to_json(program) != data:
        raise ParameterError("the description is not in its canonical form")
    return program


def _protocol(value: Any) -> str:
    name: str = _typed(str, value, "relu")
    if name not in NAMES:
        raise ParameterError(f"unknown ReLU protocol; this version knows {', '.join(NAMES)}")
    return name


def _operation(i: int, entry: Any) -> Operation:
    name = entry.get("name") if isinstance(entry, dict) else None
    where = f"operation {i} ({name})" if isinstance(name, str) and len(name) <= MAX_TEXT else f"operation {i}"
    if not isinstance(entry, dict) or "kind" not in entry:
        raise ParameterError(f"{where}: expected a dictionary with a kind")
    rest = {key: value for key, value in entry.items() if key != "kind"}
    if not isinstance(entry["kind"], str) or entry["kind"] not in KINDS:
        raise ParameterError(f"{where}: unknown kind; this version knows {', '.join(KINDS)}")
    operation: Operation = _record(KINDS[entry["kind"]], rest, where)
    return operation


def _record(kind: Any, value: Any, where: str) -> Any:
    """An instance of the dataclass `kind` from a dictionary with exactly its fields."""
    hints = typing.get_type_hints(kind)
    fields = _fields(value, {field.name for field in dataclasses.fields(kind)}, where)
    decoded = {key: _typed(hints[key], entry, f"{where}: {key}") for key, entry in fields.items()}
    try:
        return kind(**decoded)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from None


def _typed(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotation wants it: int, bool, str, a literal, a tuple, a dataclass, or one of them or
    None.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return None if value is None else _typed(inner, value, where)
    if dataclasses.is_dataclass(hint):
        return _record(hint, value, where)
    if origin is typing.Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        any_length = arguments[-1] is Ellipsis
        if not any_length and len(value) != len(arguments):
            raise ParameterError(f"{where}: expected {len(arguments)} entries, got {len(value)}")
        inner_hints = [arguments[0]] * len(value) if any_length else arguments
        return tuple(_typed(inner, entry, where) for inner, entry in zip(inner_hints, value, strict=True))
    if hint is int and type(value) is int and abs(value) < 1 << 63:
        return value
    if hint is Bits and isinstance(value, str):  # its length is checked against the layer's
        return value
    if hint is str and isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if hint is bool and isinstance(value, bool):
        return value
    raise ParameterError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {type(value).__name__}")


def _fields(value: Any, names: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ParameterError(f"{where}: expected a dictionary, got {type(value).__name__}")
    if value.keys() != names:
        unknown, missing = sorted(value.keys() - names), sorted(names - value.keys())
        raise ParameterError(f"{where}: unknown fields {unknown[:8]}, missing fields {missing[:8]}")
    return value
