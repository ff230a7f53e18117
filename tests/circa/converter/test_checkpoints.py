"""The trained networks of ../shared/data: how accurate they are after conversion, by simulation.

Bounds are in points of accuracy against PyTorch on the same images. A network that changes the classes of d
of n images at random has an accuracy that differs by about 100 sqrt(d) / n.
"""

import pytest
import torch
from realdata import checkpoint, cifar, mnist
from torch import Tensor, nn

from circa import convert
from circa.models import MiniONN, MnistB, resnet20


def loaded(model: nn.Module, shared, name: str) -> nn.Module:
    model.load_state_dict(checkpoint(shared, name), strict=True)
    return model.eval()


def points(model, x: Tensor, y: Tensor, **options: object) -> float:
    with torch.no_grad():
        return 100 * (model(x, **options).argmax(1) == y).double().mean().item()


def seed(i: int) -> torch.Generator:
    return torch.Generator().manual_seed(i)


@pytest.mark.slow
def test_resnet20_on_500_images(shared):
    model = loaded(resnet20(), shared, "cifar10_resnet20")
    x, y = cifar(shared, "test", 500)
    converted = convert(model, cifar(shared, "train", 256)[0])
    plain = points(model, x, y)
    assert converted.program.relus == 188_416
    assert abs(points(converted, x, y, stochastic=False) - plain) <= 0.6
    assert abs(points(converted, x, y, generator=seed(1)) - plain) <= 0.6


@pytest.mark.slow
def test_minionn_on_200_images(shared):
    model = loaded(MiniONN(), shared, "cifar10_minionn_relu6")
    x, y = cifar(shared, "test", 200, normalised=False)
    converted = convert(model, cifar(shared, "train", 128, normalised=False)[0])
    assert converted.program.relus == 2 * 173_056  # ReLU6 has two sign tests
    assert abs(points(converted, x, y, generator=seed(1)) - points(model, x, y)) <= 2


def test_mnist_network_b_on_500_images(shared):
    model = loaded(MnistB(), shared, "mnist_cnn_b")
    x, y = mnist(shared, 1000)
    converted = convert(model, x[500:])
    assert [type(op).__name__ for op in converted.program.operations] == [
        "Input", "Linear", "Activate", "Pool", "Linear", "Activate", "Pool", "Linear", "Activate", "Linear"
    ]  # fmt: skip
    assert points(converted, x[:500], y[:500], generator=seed(1)) >= points(model, x[:500], y[:500]) - 0.6
