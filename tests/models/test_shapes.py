"""Constructors, output shapes, state_dict names and ReLU counts."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from circa import models
from circa.models.digits import train


def relus(model: nn.Module, x: torch.Tensor) -> int:
    """Elements that pass through ReLU modules or F.relu for one image."""
    count = 0
    original = torch.relu, nn.functional.relu

    def counting(t, inplace=False):
        nonlocal count
        count += t[0].numel()
        return original[0](t)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(nn.functional, "relu", counting)
        model.eval()(x)
    return count


@pytest.mark.parametrize(("make", "expected"), [
    (models.resnet20, 188_416), (models.resnet32, 303_104), (models.resnet44, 417_792),
    (models.resnet18_cifar, 557_056),
])  # fmt: skip
def test_cifar_resnets_have_the_published_relu_counts(make, expected):
    x = torch.randn(1, 3, 32, 32)
    model = make()
    assert relus(model, x) == expected
    assert model(x).shape == (1, 10)


@pytest.mark.parametrize("kind", ["pad", "conv", "conv_bn"])
def test_the_three_shortcuts(kind):
    names = models.resnet20(shortcut=kind).state_dict()
    assert ("layer2.0.shortcut.0.weight" in names) == (kind != "pad")
    assert ("layer2.0.shortcut.1.weight" in names) == (kind == "conv_bn")


def test_unknown_shortcut():
    with pytest.raises(ValueError, match="bottle"):
        models.resnet20(shortcut="bottle")


@pytest.mark.parametrize(("make", "parameters"), [
    (models.resnet18, 11_689_512), (models.resnet34, 21_797_672), (models.resnet50, 25_557_032),
    (models.vgg16, 138_357_544),
])  # fmt: skip
def test_parameter_counts_are_those_of_torchvision(make, parameters):
    with torch.device("meta"):
        model = make()
        assert model(torch.empty(1, 3, 224, 224)).shape == (1, 1000)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_torchvision_names():
    with torch.device("meta"):
        resnet, vgg = models.resnet50().state_dict(), models.vgg16().state_dict()
    assert {"layer1.0.downsample.0.weight", "layer4.2.conv3.weight", "fc.bias"} <= set(resnet)
    assert {"features.28.weight", "classifier.0.weight", "classifier.6.bias"} <= set(vgg)


@pytest.mark.parametrize(("model", "shape"), [
    (models.vgg16_cifar(), (3, 32, 32)), (models.MiniONN(activation=nn.ReLU), (3, 32, 32)),
    (models.LeNet(), (1, 28, 28)), (models.LeNet(pooling=nn.MaxPool2d), (1, 28, 28)),
    (models.MnistB(), (1, 28, 28)), (models.MLP(), (1, 28, 28)),
])  # fmt: skip
def test_ten_classes(model, shape):
    assert model.eval()(torch.randn(2, *shape)).shape == (2, 10)


def test_the_digits_network_learns_in_seconds():
    data = load_digits()
    x = torch.from_numpy(data.images).float().unsqueeze(1) / 16
    y = torch.from_numpy(data.target).long()
    shuffled = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    x, y = x[shuffled], y[shuffled]
    torch.manual_seed(0)
    model = models.DigitsCNN()
    train(model, x[:1500], y[:1500])
    assert not model.training
    with torch.no_grad():
        assert (model(x[1500:]).argmax(1) == y[1500:]).float().mean() >= 0.98
