"""Residual networks (He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016).

Two families, by the names in their checkpoints:

    CifarResNet   3x3 stem, no max-pooling, `layerI.J.shortcut`, `linear`: ResNet-20/32/44 as in section 4.2
                  of the paper, and the wide ResNet-18 that is usual on CIFAR
    ResNet        `layerI.J.downsample`, `fc`, as torchvision names them: ResNet-18/34/50 with the 7x7 stem

The shortcut where the shape changes is one of "pad" (slice and zero channels: the paper's option A), "conv"
(1x1 convolution) and "conv_bn" (1x1 convolution and batch normalisation: option B).
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "CifarResNet",
    "ResNet",
    "resnet18",
    "resnet18_cifar",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
]


class PadShortcut(nn.Module):
    """Every second pixel, and zero channels on both sides: no parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        before = (out_channels - in_channels) // 2
        self.padding = (0, 0, 0, 0, before, out_channels - in_channels - before)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], self.padding)


def shortcut(kind: str, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The path around a block; `kind` is "pad", "conv" or "conv_bn". Raises ValueError for another."""
    if stride == 1 and in_channels == out_channels:
        return nn.Sequential()
    if kind == "pad":
        return PadShortcut(in_channels, out_channels, stride)
    if kind == "conv":
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride))
    if kind == "conv_bn":
        conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(out_channels))
    raise ValueError(f'shortcut is "pad", "conv" or "conv_bn", not {kind!r}')


class CifarBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, kind: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = shortcut(kind, in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """3x3 stem, a stage for every entry of `widths` and `blocks`, global average pooling, a linear head."""

    def __init__(
        self,
        blocks: Sequence[int] = (3, 3, 3),
        widths: Sequence[int] = (16, 32, 64),
        num_classes: int = 10,
        shortcut: str = "pad",
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.stages = len(widths)
        width = widths[0]
        for i, (count, out) in enumerate(zip(blocks, widths, strict=True)):
            stage = [CifarBlock(width, out, 2 if i else 1, shortcut)]
            stage += [CifarBlock(out, out, 1, shortcut) for _ in range(count - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*stage))
            width = out
        self.linear = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        for i in range(self.stages):
            out = self.get_submodule(f"layer{i + 1}")(out)
        out = F.adaptive_avg_pool2d(out, 1).flatten(1)
        logits: Tensor = self.linear(out)
        return logits


def resnet20(num_classes: int = 10, shortcut: str = "pad") -> CifarResNet:
    return CifarResNet((3, 3, 3), (16, 32, 64), num_classes, shortcut)


def resnet32(num_classes: int = 10, shortcut: str = "pad") -> CifarResNet:
    return CifarResNet((5, 5, 5), (16, 32, 64), num_classes, shortcut)


def resnet44(num_classes: int = 10, shortcut: str = "pad") -> CifarResNet:
    return CifarResNet((7, 7, 7), (16, 32, 64), num_classes, shortcut)


def resnet18_cifar(num_classes: int = 10, shortcut: str = "conv_bn") -> CifarResNet:
    return CifarResNet((2, 2, 2, 2), (64, 128, 256, 512), num_classes, shortcut)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(self, in_channels: int, planes: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        result: Tensor = self.relu(out)
        return result


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; the stride sits in the 3x3 one."""

    expansion = 4

    def __init__(self, in_channels: int, planes: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += identity
        result: Tensor = self.relu(out)
        return result


class ResNet(nn.Module):
    """7x7 stem, max-pooling, four stages, global average pooling, `fc`."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: Sequence[int],
        num_classes: int = 1000,
        shortcut: str = "conv_bn",
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.width = 64
        self.layer1 = self._stage(block, 64, blocks[0], 1, shortcut)
        self.layer2 = self._stage(block, 128, blocks[1], 2, shortcut)
        self.layer3 = self._stage(block, 256, blocks[2], 2, shortcut)
        self.layer4 = self._stage(block, 512, blocks[3], 2, shortcut)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(self.width, num_classes)

    def _stage(
        self, block: type[BasicBlock] | type[Bottleneck], planes: int, count: int, stride: int, kind: str
    ) -> nn.Sequential:
        out = planes * block.expansion
        around = shortcut(kind, self.width, out, stride) if stride > 1 or self.width != out else None
        stage = [block(self.width, planes, stride, around)]
        self.width = out
        return nn.Sequential(*stage, *(block(out, planes, 1, None) for _ in range(count - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def resnet18(num_classes: int = 1000) -> ResNet:
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes)


def resnet34(num_classes: int = 1000) -> ResNet:
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes)


def resnet50(num_classes: int = 1000) -> ResNet:
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes)
