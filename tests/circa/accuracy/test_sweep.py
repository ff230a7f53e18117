"""Accuracy against n and k, its figure and its command."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from circa.accuracy import sweep, with_windows
from circa.accuracy.draws import Drawn, chunks, outputs
from circa.accuracy.figure import draw
from circa.accuracy.score import classes
from circa.accuracy.sweep import default_settings, online_bytes
from circa.cli import app
from circa.errors import ParameterError


@pytest.fixture(scope="module")
def result(converted, test_images, labels):
    return sweep(converted, test_images, labels, bits=(2, 6), truncate=(12, 24), plaintext=labels)


def test_every_setting_is_there_with_its_bytes(result, converted):
    settings = [(p.mode, p.n, p.k) for p in result.points]
    assert settings == [
        ("balanced", 2, None),
        ("balanced", 6, None),
        *[
            (mode, n, k)
            for mode in ("poszero", "negpass")
            for n, k in ((2, None), (6, None), (None, 12), (None, 24))
        ],
    ]
    by_setting = {(p.mode, p.n, p.k): p for p in result.points}
    assert by_setting["balanced", 6, None].online_bytes == online_bytes(converted.program)
    assert by_setting["balanced", 2, None].online_bytes < by_setting["balanced", 6, None].online_bytes


def test_coarse_tests_lose_accuracy_and_fine_ones_do_not(result):
    points = {(p.mode, p.n, p.k): p.score for p in result.points}
    assert result.plaintext == 100.0
    assert result.exact >= 98
    assert points["balanced", 6, None].accuracy > points["balanced", 2, None].accuracy + 5
    assert points["poszero", None, 12].accuracy > points["poszero", None, 24].accuracy + 5
    for score in points.values():
        assert 0 <= score.low <= score.accuracy <= score.high <= 100


def test_a_point_is_the_simulation_of_that_network(result, converted, test_images, labels):
    model = with_windows(converted, 2)
    found = outputs(model.program, converted.linear, converted.encode(test_images), 0, lambda n: None)
    assert 100 * float((classes(found) == labels).mean()) == result.points[0].score.accuracy


def test_shares_are_repeatable_and_differ(converted):
    first, again = (Drawn(converted.program, slice(0, 4), 7) for _ in range(2))
    other, later = Drawn(converted.program, slice(0, 4), 8), Drawn(converted.program, slice(4, 8), 7)
    names = list(first)
    assert names == [op.name for op in converted.program.activations]
    assert len(first) == 3
    assert names[0] in first
    assert "input" not in first
    for name in names:
        assert (first[name] == again[name]).all()
        assert (first[name] != other[name]).any()
        assert (first[name] != later[name]).any()
    assert (first[names[0]] != first[names[1]]).any()


def test_chunks_cover_all_images(converted):
    parts = chunks(converted.program, 100_001)
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
    assert (parts[0].start, parts[-1].stop) == (0, 100_001)


def test_a_file_with_windows_by_layer_is_measured_as_it_is(converted, test_images, labels, tmp_path):
    mixed = with_windows(converted, {converted.program.activations[0].name: 3})
    found = sweep(mixed, test_images[:40], labels[:40], bits=(6,), modes=("balanced",))
    assert [(p.mode, p.n, p.k) for p in found.points] == [("balanced", None, None), ("balanced", 6, None)]
    assert found.points[0].online_bytes == online_bytes(mixed.program) < found.points[1].online_bytes
    assert draw(found, tmp_path)[0].exists()


def test_progress_counts_every_image(converted, test_images, labels):
    steps = []
    sweep(converted, test_images[:20], labels[:20], bits=(6,), modes=("balanced",), runs=2,
          progress=lambda *step: steps.append(step))  # fmt: skip
    assert steps[-1][1:] == (60, 60)
    assert {step[0] for step in steps} == {"exact", "balanced n = 6"}


def test_bad_settings(converted, test_images, labels):
    for arguments, text in (
        ({}, "nothing to measure"),
        ({"bits": (9,)}, "2 to 8 bits, not 9"),
        ({"truncate": (8,), "modes": ("balanced",)}, "balanced exists for windows only"),
        ({"bits": (6,), "modes": ("middle",)}, "unknown fault mode"),
        ({"bits": (6,), "runs": 0}, "runs = 0"),
    ):
        with pytest.raises(ParameterError, match=text):
            sweep(converted, test_images, labels, **arguments)
    with pytest.raises(ParameterError, match="expected 150 integers"):
        sweep(converted, test_images, labels[:3], bits=(6,))
    assert default_settings(converted.program) == ((3, 4, 5, 6, 8), ())


def test_figure_files(result, tmp_path):
    paths = draw(result, tmp_path / "figures")
    assert [path.name for path in paths] == ["accuracy.png", "accuracy.svg"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    drawing = paths[1].read_text()
    assert "<svg" in drawing
    assert draw(result, tmp_path / "again")[1].read_text() == drawing


@pytest.fixture
def files(converted, test_images, labels, tmp_path):
    converted.save(tmp_path / "small.circa")
    np.savez(tmp_path / "images.npz", x=test_images.numpy(), y=labels)
    np.save(tmp_path / "bare.npy", test_images.numpy())
    return tmp_path


def run(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "140"})


def test_bench_accuracy_command(files):
    command = (
        "bench",
        "accuracy",
        files / "small.circa",
        files / "images.npz",
        "--bits",
        "3,6",
        "--count",
        40,
    )
    done = run(*command, "--mode", "balanced", "--figure", files / "out", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(p["n"], p["k"], p["mode"]) for p in found["points"]] == [
        (3, None, "balanced"),
        (6, None, "balanced"),
    ]
    assert {"accuracy", "low", "high", "difference", "spread", "agreement", "online_bytes"} <= set(
        found["points"][0]
    )
    assert found["images"] == 40
    assert [path.rsplit("/", 1)[1] for path in found["figures"]] == ["accuracy.png", "accuracy.svg"]
    text = run(*command)
    assert text.exit_code == 0
    assert text.stdout.count("negpass") == 2
    assert "fixed point without faults" in text.stdout


def test_bench_faults_command(files):
    done = run("bench", "faults", files / "small.circa", files / "bare.npy", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert len(found["per_layer"]) == 3
    assert found["images"] == 150
    low, high = found["outside_probability_interval"]
    assert low <= found["outside_probability"] <= high
    text = run("bench", "faults", files / "small.circa", files / "bare.npy").stdout
    assert "a value outside its window in" in text
    assert "total" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("bare.npy",), "bare.npy has no labels y: name a file with --labels"),
        (("bare.npy", "--labels", "none.npy"), "there is no file none.npy"),
        (("images.npz", "--bits", "4,x"), "--bits takes integers separated by commas, got '4,x'"),
        (("images.npz", "--bits", "1"), "2 to 8 bits, not 1"),
        (("nothing.npz",), "there is no file"),
        (("images.npz", "--plaintext", "nonet"), "'nonet' is neither"),
    ],
)
def test_bad_input_is_one_line(files, arguments, text, monkeypatch):
    monkeypatch.chdir(files)
    done = run("bench", "accuracy", files / "small.circa", *arguments)
    assert done.exit_code == 1
    assert text in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.output


def test_labels_from_a_file_of_their_own(files, labels):
    np.save(files / "labels.npy", labels)
    torch.manual_seed(0)
    command = (
        "bench",
        "accuracy",
        files / "small.circa",
        files / "bare.npy",
        "--labels",
        files / "labels.npy",
    )
    done = run(*command, "--bits", "8", "--mode", "balanced", "--count", "30", "--json")
    assert json.loads(done.stdout)["points"][0]["accuracy"] >= 90
