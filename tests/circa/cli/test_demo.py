"""`circa demo`, `serve` and `infer` as a user runs them: processes, JSON, errors without a traceback."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import command
from torch import nn

import circa
from circa.network import NETWORKS
from circa.protocols.relu import NAMES

FIELDS = {
    "images", "agreement", "max_logit_error", "relus", "offline_seconds", "online_seconds", "offline_bytes",
    "online_bytes", "online_rounds", "per_layer",
}  # fmt: skip


def run(*arguments: object, status: int = 0) -> str:
    """stdout, or stderr where the command fails; no traceback in either."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if status else done.stdout


def check_demo(*options: object) -> None:
    result: dict[str, Any] = json.loads(run("demo", "--json", *options))
    assert set(result) >= FIELDS
    assert result["agreement"] >= 0.98
    assert result["online_rounds"] == 3
    assert {row["layer"] for row in result["per_layer"]} >= {"conv1", "conv2", "fc"}


def test_demo() -> None:
    check_demo("--images", 64, "--epochs", 4)


@pytest.mark.slow
@pytest.mark.parametrize("relu", [name for name in NAMES if name not in ("table", "rescale")])
def test_demo_with_every_protocol(relu: str) -> None:
    check_demo("--images", 16, "--epochs", 4, "--relu", relu)


def test_infer_against_a_server_process(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.rand(5, 3, 2, 2)
    circa.convert(model, torch.rand(64, 3, 2, 2)).save(tmp_path / "model.circa")
    np.save(tmp_path / "x.npy", x.numpy())
    serve = command("serve", tmp_path / "model.circa", "--port", 0, "--json")
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            started = json.loads(server.stdout.readline())
            target = (started["address"], tmp_path / "x.npy", "--json")
            result = json.loads(run("infer", *target, "--expect", started["model_hash"]))
            assert result["classes"] == model(x).argmax(1).tolist()
            assert np.abs(np.array(result["logits"]) - model(x).detach().numpy()).max() < 0.1
            refused = json.loads(run_json_error("infer", *target, "--expect", "0" * 64))
            assert refused["error"]["kind"] == "HandshakeError"
            assert server.poll() is None
        finally:
            server.terminate()


def run_json_error(*arguments: object) -> str:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("infer", "127.0.0.1:1", "{x}"), "nobody listens"),
        (("infer", "host:port", "{x}"), "no valid port"),
        (("infer", "127.0.0.1:1", "nowhere.npy"), "no file nowhere.npy"),
        (("serve", "nowhere.circa"), "nowhere.circa"),
        (("serve", "{x}"), "x.npy"),
        (("convert", "nonsense", "{x}"), "neither module:callable nor one of"),
        (("convert", "no.such.module:build", "{x}"), "cannot load no.such.module:build"),
        (("check", "resnet20", "--input-shape", "a,b"), "takes numbers"),
        (("demo", "--relu", "magic"), "magic"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 4), np.float32))
    error = run(*(argument.format(x=tmp_path / "x.npy") for argument in arguments), status=1)
    assert text in error


def test_help_is_light_and_lists_the_commands() -> None:
    text = run("--help")
    for name in ("demo", "convert", "check", "estimate", "summary", "serve", "infer", "stock", "bench"):
        assert name in text


def test_convert_estimate_and_summary(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=images)
    file = tmp_path / "digits.circa"
    made = json.loads(
        run("convert", "DigitsCNN", tmp_path / "x.npz", "-o", file, "--weight-bits", 9, "--json")
    )
    assert made["relus"] == 3072
    estimated = json.loads(run("estimate", file, "--images", 2, "--network", "wan", "--json"))
    assert estimated["online"]["rounds"] == 3
    assert estimated["online"]["seconds"] > 3 * NETWORKS["wan"].round_trip
    shown = run("summary", file)
    assert "3,072 sign tests" in shown
    assert "w 2^-9" in shown
    assert "kB" in run("estimate", file, "--bandwidth", 10, "--latency", 100)
