"""The description: one encoding per program, and nothing a peer can slip past it."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from programs import Builder, residual

from circa.description import announcement, describe, from_json, model_hash, to_json
from circa.errors import ParameterError
from circa.handshake import client_handshake, server_handshake
from circa.program import Activate, Program, Scale
from circa.protocols.shares import PRIME31, RING32, Modulus
from circa.protocols.sign.window import Window
from harness import run_pair


@pytest.mark.parametrize("modulus", [RING32, PRIME31])
def test_round_trip(modulus: Modulus) -> None:
    program = residual(modulus, labels=("cat", "Hündin", "fish"))
    data = to_json(program)
    assert from_json(data) == program
    assert to_json(from_json(data)) == data
    assert isinstance(from_json(data).operations[2], Activate)


def test_the_hash_depends_on_every_field() -> None:
    program = residual()
    hashes = {model_hash(program)}
    variants = [dataclasses.replace(program, labels=("a",)), dataclasses.replace(program, relu="rescale")]
    variants.append(replaced(program, 1, weight_bits=8, frac_bits=16))
    variants.append(replaced(program, 2, window=Window(5, (9, 8, 7, 10))))
    variants.append(replaced(program, 2, knots=(1,)))
    for variant in variants:
        hashes.add(model_hash(variant))
    assert len(hashes) == 1 + len(variants)
    assert all(len(h) == 64 for h in hashes)


def test_the_client_is_not_told_where_a_range_lies_in_its_window() -> None:
    program = residual()
    windows = [Window(6, (9, 8, 7, 10), positive=((cells, 1, 63, 32),)) for cells in (5, 60)]
    lying = [replaced(program, 2, window=window) for window in windows]
    assert (
        announcement(lying[0])
        == announcement(lying[1])
        == announcement(replaced(program, 2, window=Window(6, (9, 8, 7, 10))))
    )
    assert from_json(to_json(lying[0])) == lying[0]
    assert to_json(lying[0]) != to_json(lying[1])
    received, _, _ = run_pair(client_handshake, lambda ch: server_handshake(ch, lying[0]))
    assert received == from_json(announcement(lying[0]))
    assert model_hash(received) == model_hash(lying[0])


def replaced(program: Program, i: int, **changes: Any) -> Program:
    ops = program.operations
    changed: Any = dataclasses.replace(ops[i], **changes)
    return dataclasses.replace(program, operations=(*ops[:i], changed, *ops[i + 1 :]))


def refuse(change: Callable[[dict[str, Any]], None], match: str) -> None:
    described = json.loads(to_json(residual()))
    change(described)
    data = json.dumps(described, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ParameterError, match=match):
        from_json(data)


def op(i: int, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda d: d["operations"][i].update(fields)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d.update(format=1), "format 1"),
        (lambda d: d.update(modulus=257), "modulus 257"),
        (lambda d: d.update(modulus=True), "modulus: expected int, got bool"),
        (lambda d: d.update(relu="no-such"), "ReLU protocol"),
        (lambda d: d.update(extra=1), r"unknown fields \['extra'\]"),
        (lambda d: d.pop("labels"), r"missing fields \['labels'\]"),
        (lambda d: d.update(labels=[1]), "labels"),
        (lambda d: d.update(labels="abc"), "labels"),
        (lambda d: d.update(operations={}), "operations"),
        (lambda d: d.update(operations=[]), "starts with its input"),
        (lambda d: d["operations"].append(7), "operation 14: expected a dictionary"),
        (lambda d: d["operations"].extend([d["operations"][0]] * 10_000), "at most 10000"),
        (op(1, kind="Convolution"), r"operation 1 \(conv1\): unknown kind"),
        (op(1, kind=["Linear"]), "unknown kind"),
        (op(1, extra=1), r"operation 1 \(conv1\): unknown fields \['extra'\]"),
        (op(1, weight_bits=7.0), "weight_bits: expected int, got float"),
        (op(1, weight_bits=True), "weight_bits: expected int, got bool"),
        (op(1, weight_bits=None), "weight_bits"),
        (op(1, weight_bits=1 << 70), "weight_bits"),
        (op(1, name="x" * 2000), "operation 1: name"),
        (op(1, name="input"), "used twice"),
        (op(1, inputs=[1]), "not there yet"),
        (op(1, inputs=[-1]), "not there yet"),
        (op(1, inputs=[0, 0]), "conv1: it reads one operand, not 2"),
        (op(1, inputs=[]), "conv1: it reads one operand, not 0"),
        (op(1, shape=[4, 6, 5]), r"conv1: says shape \(4, 6, 5\), its operands give \(4, 6, 6\)"),
        (op(1, frac_bits=14), "conv1: says 14 fractional bits, its operands give 15"),
        (op(1, shape=[4, 6, -6]), "conv1: bad shape"),
        (op(0, shape=[1] * 9), "input: bad shape"),
        (op(0, shape=[2, 6, 1 << 40]), "elements; at most"),
        (op(1, geometry=None), "geometry"),
        (lambda d: d["operations"][1]["geometry"].update(kernel=[3]), r"kernel: expected 2 entries, got 1"),
        (lambda d: d["operations"][1]["geometry"].update(kernel=[3, 3, 3]), "expected 2 entries, got 3"),
        (lambda d: d["operations"][1]["geometry"].update(in_channels=3), "geometry reads 108 elements"),
        (lambda d: d["operations"][1]["geometry"].pop("groups"), r"geometry: .*missing fields \['groups'\]"),
        (lambda d: d["operations"][2]["window"].update(bits=40), r"relu1\): window: .*40"),
        (lambda d: d["operations"][2]["window"].update(gain=[1, 2]), "relu1: .*2 gains for 4 channels"),
        (op(2, shift=40), "relu1: .*40"),
        (op(2, window=None), "relu1: .*window"),
        (op(2, knots=[]), "relu1: 0 knots"),
        (op(1, parameters="B1024"), "conv1: no parameter set 'B1024'"),
        (op(3, stop=[2, 6, 7], shape=[2, 6, 7]), r"short.slice: \[0:7:1\] of 6"),
        (op(3, step=[1, 1]), "short.slice: it needs one start"),
        (op(4, padding=[1, 1, 0, 0]), "short.pad: it needs two amounts"),
        (op(4, padding=[1, 1, 0, 0, 0, -1]), "short.pad: a negative amount"),
        (op(5, factor=0), "short.scale: a factor of 0"),
        (op(5, frac_bits=60), "short.scale: says 60"),
        (op(6, factors=[2]), "add: 1 factors for 2"),
        (op(6, factors=[2, 3]), "add: factor 3"),
        (op(6, factors=[4, 1]), "add: the factors do not align"),
        (op(6, inputs=[1, 4]), "add: "),
        (op(7, dim=3), "cat: dimension 3"),
        (op(7, inputs=[6, 2]), "cat: operands of different scales"),
        (lambda d: d["operations"][8]["mask"].update(others="identity"), "select: what it drops is identity"),
        (lambda d: d["operations"][8]["mask"].update(bits="AAAA"), "select: a mask of 24 bits for 288"),
        (op(8, mask=None), "select.: mask: expected a dictionary"),
        (op(11, kernel=[9, 2]), "pool: kernel"),
        (op(11, stride=[0, 1]), "pool: kernel"),
        (op(11, padding=[2, 0], shape=[4, 6, 2]), "pool: kernel"),
        (op(0, frac_bits=63), "input: 63 fractional bits"),
        (op(0, limit=0), "input: a limit of 0"),
        (op(0, limit=1 << 30), "input: a limit of"),
        (op(1, weight_bits=32, frac_bits=40), "conv1: 32 weight bits"),
        (op(12, shape=[15]), "flatten: 15 elements cannot hold 16"),
    ],
)
def test_a_damaged_description_is_refused(change: Callable[[dict[str, Any]], None], match: str) -> None:
    refuse(change, match)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b'{"format":' + b"9" * 5000 + b"}",
        to_json(residual())[:-1],
        to_json(residual()).replace(b":", b": ", 1),
        to_json(residual()).replace(b'{"format":2', b'{"format":2,"format":2'),
    ],
)
def test_bytes_that_are_no_canonical_description_are_refused(data: bytes) -> None:
    with pytest.raises(ParameterError):
        from_json(data)


def test_describe_is_plain_json() -> None:
    described = describe(residual())
    assert json.loads(json.dumps(described)) == json.loads(to_json(residual()))
    assert [entry["kind"] for entry in described["operations"]][:3] == ["Input", "Linear", "Activate"]


def test_ten_thousand_operations_are_allowed() -> None:
    b = Builder((1,), 0)
    for i in range(9_999):
        b.add(Scale, f"s{i}", i, factor=-1)
    program: Program = b.program()
    assert from_json(to_json(program)) == program


def test_a_description_that_is_too_long_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = to_json(residual())
    monkeypatch.setattr("circa.description.MAX_BYTES", len(data))
    assert from_json(data) == residual()
    monkeypatch.setattr("circa.description.MAX_BYTES", len(data) - 1)
    with pytest.raises(ParameterError, match=f"{len(data)} bytes; at most"):
        from_json(data)
