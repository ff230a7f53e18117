"""Trained networks on real images, privately: bit for bit the simulation, and the classes of plaintext."""

from pathlib import Path

import pytest
import torch
from realdata import checkpoint, cifar, mnist
from torch import Tensor, nn

import circa
from circa.models import CifarResNet, MiniONN, MnistB, resnet20


def mnist_b(shared: Path) -> tuple[nn.Module, Tensor, Tensor]:
    model = MnistB()
    model.load_state_dict(checkpoint(shared, "mnist_cnn_b"))
    x, _ = mnist(shared, 160)
    return model.eval(), x[32:], x[:32]


def cifar_resnet20(shared: Path) -> tuple[nn.Module, Tensor, Tensor]:
    model: CifarResNet = resnet20()
    model.load_state_dict(checkpoint(shared, "cifar10_resnet20"))
    return model.eval(), cifar(shared, "train", 128)[0], cifar(shared, "test", 32)[0]


def minionn(shared: Path) -> tuple[nn.Module, Tensor, Tensor]:
    model = MiniONN(activation=nn.ReLU6)
    model.load_state_dict(checkpoint(shared, "cifar10_minionn_relu6"))
    calibration = cifar(shared, "train", 128, normalised=False)[0]
    return model.eval(), calibration, cifar(shared, "test", 32, normalised=False)[0]


@pytest.mark.parametrize(
    ("build", "images"),
    [
        (mnist_b, 8),
        pytest.param(mnist_b, 32, marks=pytest.mark.slow),
        pytest.param(cifar_resnet20, 32, marks=pytest.mark.slow),
        pytest.param(minionn, 32, marks=pytest.mark.slow),
    ],
)
def test_private_inference_on_real_images(shared: Path, build: object, images: int) -> None:
    assert callable(build)
    model, calibration, x = build(shared)
    x = x[:images]
    converted = circa.convert(model, calibration)
    with circa.Server(converted, port=0) as server, circa.connect(server.address, keep_shares=True) as client:
        client.prepare(images)
        private = client.infer(x)
        shares = client.last_shares
    assert torch.equal(private, converted(x, client_shares=shares))
    with torch.no_grad():
        plain = model(x)
    assert (private.argmax(1) == plain.argmax(1)).sum() >= images - images // 8
