"""Reference networks in plain PyTorch."""

if __name__ != "circa.models":
    raise ImportError(f"import this package as circa.models, not {__name__}")

from .digits import DigitsCNN
from .lenet import LeNet, MnistB
from .minionn import MiniONN
from .mlp import MLP
from .resnet import (
    CifarResNet,
    ResNet,
    resnet18,
    resnet18_cifar,
    resnet20,
    resnet32,
    resnet34,
    resnet44,
    resnet50,
)
from .vgg import VGG, vgg16, vgg16_cifar

__all__ = [
    "MLP",
    "VGG",
    "CifarResNet",
    "DigitsCNN",
    "LeNet",
    "MiniONN",
    "MnistB",
    "ResNet",
    "resnet18",
    "resnet18_cifar",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "vgg16",
    "vgg16_cifar",
]
