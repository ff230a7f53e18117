"""Files and options that a user may get wrong: one line that names the thing and the remedy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from circa.cli import app
from circa.cli.convert import load_model
from circa.errors import ParameterError
from circa.models import DigitsCNN

MODULE = """
import torch
def broken(): raise RuntimeError("boom")
class Flow(torch.nn.Module):
    def forward(self, x): return -x if x.sum() > 0 else x
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user works: a module of their own, images, checkpoints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ofmine.py").write_text(MODULE)
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), dtype=np.uint8)
    np.savez("images.npz", x=images)
    np.savez("named.npz", images=images)
    np.save("floats.npy", np.zeros((2, 1, 8, 8), np.float32))
    state = DigitsCNN().state_dict()
    torch.save(state, "good.pt")
    torch.save({f"module.{name}": value for name, value in state.items()}, "parallel.pt")
    torch.save(nn.Linear(2, 2).state_dict(), "other.pt")
    torch.save({**state, "fc.weight": torch.zeros(10, 3)}, "shape.pt")
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("check ofmine:broken --input-shape 3", "ofmine:broken fails: RuntimeError: boom"),
        ("check DigitsCNN --input-shape 1,8,8 --weights other.pt", "does not fit DigitsCNN: it lacks conv1"),
        ("check DigitsCNN --input-shape 1,8,8 --weights other.pt", "has unknown weight and 1 more"),
        ("check DigitsCNN --input-shape 1,8,8 --weights shape.pt", "it has another shape of fc.weight."),
        ("check DigitsCNN --input-shape 1,8,8 --weights images.npz", "holds no state dict"),
        ("convert DigitsCNN named.npz", "named.npz has no array x; it has: images"),
        ("convert DigitsCNN images.npz --mean 1,2", "--mean takes one number, or one for each of 1 channels"),
        ("convert DigitsCNN images.npz --mean nan", "--mean takes one number"),
        ("convert DigitsCNN images.npz --std 0", "--std takes numbers above 0"),
        ("convert DigitsCNN images.npz --std a", "--std takes comma-separated numbers"),
        ("convert DigitsCNN floats.npy --mean 1", "are for uint8 images"),
        ("infer 127.0.0.1:1 images.npz --output nowhere/y.npy", "there is no folder nowhere"),
        ("stock 127.0.0.1:1", "nobody listens at 127.0.0.1:1"),
        ("serve images.npz --host 256.1.1.1", "images.npz"),
    ],
)
def test_one_line(folder: Path, command: str, text: str) -> None:
    status, output = run(*command.split())
    assert status == 1
    assert text in output


def test_torch_does_not_print_what_is_reported(folder: Path, capfd: Any) -> None:
    status, output = run("check", "ofmine:Flow", "--input-shape", "3")
    assert status == 1
    assert "depends on the input's values" in output
    assert "def forward" not in output + "".join(capfd.readouterr())


def test_checkpoints_that_fit(folder: Path) -> None:
    wanted = torch.load("good.pt", weights_only=True)["fc.weight"]
    for name in ("good.pt", "parallel.pt"):
        network = load_model("DigitsCNN", Path(name))
        assert torch.equal(network.state_dict()["fc.weight"], wanted)
    with pytest.raises(ParameterError, match="there is no file"):
        load_model("DigitsCNN", Path("nowhere.pt"))


def test_random_weights_are_pointed_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_model("DigitsCNN", None)
    assert "DigitsCNN without --weights: its weights are random" in capsys.readouterr().err
    load_model("DigitsCNN", None, trained=False)
    load_model("DigitsCNN", folder / "good.pt")
    assert not capsys.readouterr().err
