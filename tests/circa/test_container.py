"""The .circa file: what is written is read, and every kind of damage has its own clear error."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from programs import residual, weights

from circa import container
from circa.description import to_json
from circa.errors import FileError, ParameterError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    program = residual(labels=("a", "b", "c"))
    container.save(tmp_path / "m.circa", program, weights(program))
    return tmp_path / "m.circa"


def test_round_trip(path: Path) -> None:
    program = residual(labels=("a", "b", "c"))
    loaded, arrays = container.load(path)
    assert loaded == program
    original = weights(program)
    assert arrays.keys() == original.keys()
    for name, array in arrays.items():
        assert array.dtype == np.int64
        np.testing.assert_array_equal(array, original[name])
    assert [p.name for p in path.parent.iterdir()] == ["m.circa"]


def test_the_file_is_small_and_the_order_of_weights_is_free(path: Path) -> None:
    program, arrays = container.load(path)
    assert path.stat().st_size < len(to_json(program)) * 1.3 + sum(2 * a.size for a in arrays.values()) + 1500
    container.save(path, program, dict(reversed(arrays.items())))
    assert container.load(path)[1].keys() == arrays.keys()


@pytest.mark.parametrize("low", [-128, -129, -32768, -32769, -(1 << 31)])
@pytest.mark.parametrize("high", [127, 128, 32767, 32768, (1 << 31) - 1])
def test_the_narrowest_integers_hold_the_extremes(tmp_path: Path, low: int, high: int) -> None:
    program = residual()
    arrays = weights(program) | {"conv1.bias": np.array([low, high, 0, 1])}
    container.save(tmp_path / "m", program, arrays)
    np.testing.assert_array_equal(container.load(tmp_path / "m")[1]["conv1.bias"], [low, high, 0, 1])


@pytest.mark.parametrize("value", [1 << 31, -(1 << 31) - 1])
def test_a_bias_beyond_half_the_modulus_is_refused(tmp_path: Path, value: int) -> None:
    program = residual()
    arrays = weights(program) | {"conv1.bias": np.array([value, 0, 0, 0])}
    with pytest.raises(ParameterError, match=r"conv1\.bias: values beyond"):
        container.save(tmp_path / "m", program, arrays)


def test_the_checksum_tells_parts_apart() -> None:
    first = container._digest({"format": "1", "library": "xprogram", "program": "y"}, {})
    assert first != container._digest({"format": "1", "library": "x", "program": "programy"}, {})


def rewrite(path: Path, change: Callable[[dict[str, str], dict[str, Any]], None], sign: bool = False) -> None:
    with safetensors.safe_open(path, "numpy") as file:
        names = list(file.keys())
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in names}
    change(metadata, tensors)
    if sign:
        metadata["sha256"] = container._digest(metadata, dict(sorted(tensors.items())))
    path.write_bytes(safetensors.numpy.save(tensors, metadata))


def test_every_flipped_byte_is_found(path: Path) -> None:
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    (header,) = struct.unpack("<Q", data[:8])
    places = [*range(8), *rng.integers(8, 8 + header, 60), *rng.integers(8 + header, len(data), 60)]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(FileError, match=str(path)):
            container.load(path)


def test_every_truncation_is_found(path: Path) -> None:
    data = path.read_bytes()
    for size in [0, 1, 7, 8, 100, 1000, len(data) // 2, len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(FileError, match=r"damaged or cut off .*again"):
            container.load(path)
    path.write_bytes(data + b"x")
    with pytest.raises(FileError, match="damaged or cut off"):
        container.load(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m, t: m.pop("format"), "not one of circa"),
        (lambda m, t: m.clear(), "not one of circa"),
        (lambda m, t: m.update(format="1"), "format '1', this version of circa .* reads '2'; install circa"),
        (lambda m, t: m.pop("sha256"), "metadata are incomplete"),
        (lambda m, t: m.update(note="x"), "metadata are incomplete"),
        (lambda m, t: m.update(library="0.0.1"), "do not match their checksum"),
        (lambda m, t: m.update(program=m["program"].replace('"conv1"', '"conv7"')), "checksum"),
        (lambda m, t: t["conv1.weight"].__setitem__(0, 1), "checksum"),
        (lambda m, t: t.pop("fc.bias"), "checksum"),
        (lambda m, t: t.update({"fc.weight": t["fc.weight"].view(np.uint8)}), "checksum"),
        (lambda m, t: t.update({"fc.weight": t["fc.weight"].astype(np.int16)}), "checksum"),
        (lambda m, t: t.update({"fc.weight": t["fc.weight"].reshape(16, 3, 1, 1)}), "checksum"),
    ],
)
def test_other_contents_are_refused(path: Path, change: Callable[..., None], match: str) -> None:
    rewrite(path, change)
    with pytest.raises(FileError, match=match):
        container.load(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m, t: t.pop("fc.weight"), "weights do not fit the program: fc.weight is missing; convert"),
        (lambda m, t: t.update(extra=np.zeros(1, np.int8)), "no layer has extra"),
        (lambda m, t: t.update({"fc.bias": np.zeros(4, np.int8)}), r"fc.bias: int8 \(4,\) for 3 channels"),
        (lambda m, t: t.update({"fc.bias": np.zeros(3, np.float32)}), "fc.bias: float32"),
        (lambda m, t: t.update({"fc.weight": np.zeros((3, 16), np.int8)}), "fc.weight: "),
        (lambda m, t: t.update({"fc.weight": np.full((3, 16, 1, 1), 1 << 15)}), "fc.weight: .*16-bit"),
        (lambda m, t: m.update(program="{}"), "the program is not valid"),
        (lambda m, t: m.update(program=json.dumps(json.loads(m["program"]))), "canonical"),
    ],
)
def test_a_wrong_file_with_a_right_checksum_is_refused(
    path: Path, change: Callable[..., None], match: str
) -> None:
    rewrite(path, change, sign=True)
    with pytest.raises(FileError, match=match):
        container.load(path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none.circa: cannot be read"):
        container.load(tmp_path / "none.circa")
    with pytest.raises(FileError, match="cannot be read"):
        container.load(tmp_path)
    program = residual()
    with pytest.raises(FileError, match="cannot be written"):
        container.save(tmp_path / "no" / "m.circa", program, weights(program))


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.circa").write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07hostile.")
    with pytest.raises(FileError, match="damaged"):
        container.load(tmp_path / "m.circa")
