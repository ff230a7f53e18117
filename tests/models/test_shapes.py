"""Constructors, output shapes, state_dict names and ReLU counts."""

import itertools

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


NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def norm(name: str) -> list[str]:
    return [f"{name}.{part}" for part in NORM]


def torchvision_resnet(blocks: tuple[int, ...], convolutions: int, first_is_wider: bool) -> list[str]:
    """The names of a torchvision checkpoint, in its order."""
    names = ["conv1.weight", *norm("bn1")]
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            path = f"layer{stage}.{block}"
            for i in range(1, convolutions + 1):
                names += [f"{path}.conv{i}.weight", *norm(f"{path}.bn{i}")]
            if block == 0 and (stage > 1 or first_is_wider):
                names += [f"{path}.downsample.0.weight", *norm(f"{path}.downsample.1")]
    return [*names, "fc.weight", "fc.bias"]


@pytest.mark.parametrize(("make", "blocks", "convolutions"), [
    (models.resnet18, (2, 2, 2, 2), 2),
    (models.resnet34, (3, 4, 6, 3), 2),
    (models.resnet50, (3, 4, 6, 3), 3),
])  # fmt: skip
def test_resnets_have_torchvision_s_names(make, blocks, convolutions):
    with torch.device("meta"):
        names = list(make().state_dict())
    assert names == torchvision_resnet(blocks, convolutions, first_is_wider=convolutions == 3)


@pytest.mark.parametrize(("batch_norm", "features"), [
    (False, (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
    (True, (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)),
])  # fmt: skip
def test_vgg16_has_torchvision_s_names(batch_norm, features):
    with torch.device("meta"):
        names = list(models.vgg16(batch_norm=batch_norm).state_dict())
    expected = []
    for i in features:
        expected += [f"features.{i}.weight", f"features.{i}.bias"]
        expected += norm(f"features.{i + 1}") if batch_norm else []
    assert names == expected + [f"classifier.{i}.{part}" for i in (0, 3, 6) for part in ("weight", "bias")]


@pytest.mark.parametrize(
    ("make", "blocks"), [(models.resnet20, 3), (models.resnet32, 5), (models.resnet44, 7)]
)
def test_cifar_resnets_have_akamaster_s_names(make, blocks):
    expected = ["conv1.weight", *norm("bn1")]
    for stage, block in itertools.product((1, 2, 3), range(blocks)):
        for i in (1, 2):
            expected += [f"layer{stage}.{block}.conv{i}.weight", *norm(f"layer{stage}.{block}.bn{i}")]
    assert list(make().state_dict()) == [*expected, "linear.weight", "linear.bias"]


def weights_and_biases(*names: str) -> list[str]:
    return [f"{name}.{part}" for name in names for part in ("weight", "bias")]


@pytest.mark.parametrize(("make", "names"), [
    (models.MiniONN, [*(f"conv{i}" for i in range(7)), "fc"]),
    (models.LeNet, ["conv1", "conv2", "fc1", "fc2", "fc3"]),
    (models.MLP, ["layers.0", "layers.2", "layers.4"]),
])  # fmt: skip
def test_small_networks_have_plain_names(make, names):
    assert list(make().state_dict()) == weights_and_biases(*names)


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
