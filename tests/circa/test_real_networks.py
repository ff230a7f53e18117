"""Trained networks on real images, privately: bit for bit the simulation, and the classes of plaintext."""

from pathlib import Path

import pytest
import torch
from realdata import checkpoint, cifar, mnist
from torch import Tensor, nn

import circa
from circa.models import CifarResNet, MiniONN, MnistB, resnet20

IMAGES = 8


def mnist_b(shared: Path) -> tuple[nn.Module, Tensor, Tensor]:
    model = MnistB()
    model.load_state_dict(checkpoint(shared, "mnist_cnn_b"))
    x, _ = mnist(shared, 128 + IMAGES)
    return model.eval(), x[IMAGES:], x[:IMAGES]


def cifar_resnet20(shared: Path) -> tuple[nn.Module, Tensor, Tensor]:
    model: CifarResNet = resnet20()
    model.load_state_dict(checkpoint(shared, "cifar10_resnet20"))
    return model.eval(), cifar(shared, "train", 128)[0], cifar(shared, "test", IMAGES)[0]


def minionn(shared: Path) -> tuple[nn.Module, Tensor, Tensor]:
    model = MiniONN(activation=nn.ReLU6)
    model.load_state_dict(checkpoint(shared, "cifar10_minionn_relu6"))
    calibration = cifar(shared, "train", 128, normalised=False)[0]
    return model.eval(), calibration, cifar(shared, "test", IMAGES, normalised=False)[0]


@pytest.mark.parametrize(
    "build",
    [
        mnist_b,
        pytest.param(cifar_resnet20, marks=pytest.mark.slow),
        pytest.param(minionn, marks=pytest.mark.slow),
    ],
)
def test_private_inference_on_real_images(shared: Path, build: object) -> None:
    assert callable(build)
    model, calibration, x = build(shared)
    converted = circa.convert(model, calibration)
    with circa.Server(converted, port=0) as server, circa.connect(server.address, keep_shares=True) as client:
        client.prepare(IMAGES)
        private = client.infer(x)
        shares = client.last_shares
    assert torch.equal(private, converted(x, client_shares=shares))
    with torch.no_grad():
        plain = model(x)
    assert (private.argmax(1) == plain.argmax(1)).sum() >= IMAGES - 1
