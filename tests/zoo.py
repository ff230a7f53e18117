"""Networks as PyTorch engineers write them, with few channels: torchvision's layouts and habits, by family.

`FAMILIES` maps a name to a constructor and the shape of one input; `Everything` has every kind of operation.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Everything(nn.Module):
    """Knots, a slope, a maximum, masks of all sorts, a square, rescales, shortcuts, groups, a concat: 8x8
    images in, five logits out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.a = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.b = nn.Conv2d(4, 6, 3, 2, 1)
        self.down = nn.Conv2d(4, 6, 1, 2, bias=False)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.after = nn.BatchNorm2d(6)
        self.prelu = nn.PReLU(6)
        self.head = nn.Linear(12, 5)
        generator = torch.Generator().manual_seed(1)
        self.register_buffer("zero", (torch.rand(4, 8, 8, generator=generator) < 0.5).float())
        self.register_buffer("identity", (torch.rand(6, 4, 4, generator=generator) < 0.5).float())

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x) * self.zero
        x = F.relu6(self.a(x) + x)
        z = self.b(x) + self.down(x)
        x = self.identity * F.relu(z) + (1 - self.identity) * z
        x = self.after(self.prelu(F.leaky_relu(F.hardtanh(self.depthwise(x)), 0.1)))
        x = self.identity * F.relu(x) + (1 - self.identity) * (0.2 * x * x + 0.3 * x)
        x = torch.cat([F.max_pool2d(x, 2), 0.3 * F.avg_pool2d(x, 3, 2, 1)], 1)
        logits: Tensor = self.head(F.pad(x, (0, 1, 1, 0))[:, :, ::2].mean((2, 3)))
        return logits


class Block(nn.Module):
    """torchvision's BasicBlock; `shortcut` says how the skipped path changes its width."""

    def __init__(self, inplanes: int, planes: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.stride, self.more, self.shortcut = stride, planes - inplanes, shortcut
        conv = nn.Conv2d(inplanes, planes, 1, stride, bias=shortcut == "conv")
        self.downsample = {"conv": conv, "conv_bn": nn.Sequential(conv, nn.BatchNorm2d(planes))}.get(shortcut)

    def skipped(self, x: Tensor) -> Tensor:
        if self.stride == 1 and not self.more:
            return x
        if self.downsample is not None:
            return self.downsample(x)
        if self.shortcut == "pad":
            return F.pad(
                x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2)
            )
        small = F.avg_pool2d(x, 1, self.stride)
        if self.shortcut == "cat":
            return torch.cat([small, small.mul(0)], 1)
        return torch.cat((small, small.new_zeros(len(x), self.more, *small.shape[2:])), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.skipped(x)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = nn.Sequential(Block(4, 4, 1, shortcut), Block(4, 4, 1, shortcut))
        self.layer2 = nn.Sequential(Block(4, 8, 2, shortcut))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Bottleneck(nn.Module):
    """ResNet-50's, with ResNeXt's groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(True))
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, 2, 1, groups=2, bias=False), nn.BatchNorm2d(4)
        self.conv3, self.bn3 = nn.Conv2d(4, 16, 1, bias=False), nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential(nn.Conv2d(4, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += self.downsample(x)
        return self.fc(self.relu(out).mean([2, 3]))


class VGG(nn.Module):
    """Five poolings of 32x32 pixels leave one, which torchvision's adaptive pooling makes 7x7 of."""

    def __init__(self, pooling: type[nn.Module] = nn.MaxPool2d) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for v in (2, "M", 4, "M", 4, "M", 4, "M", 4, "M"):
            if v == "M":
                layers += [pooling(kernel_size=2, stride=2)]
            else:
                layers += [nn.Conv2d(channels, v, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                channels = v
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(4 * 7 * 7, 16), nn.ReLU(True), nn.Dropout(),
            nn.Linear(16, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 5),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(x.view(x.size(0), -1))


class ConvBNReLU(nn.Sequential):
    def __init__(self, before: int, after: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(after), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    def __init__(self, before: int, after: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = before * expand
        self.use_res_connect = stride == 1 and before == after
        self.conv = nn.Sequential(
            ConvBNReLU(before, hidden, 1),
            ConvBNReLU(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        blocks = [InvertedResidual(4, 4, 1, 2), InvertedResidual(4, 6, 2, 2), InvertedResidual(6, 6, 1, 2)]
        self.features = nn.Sequential(ConvBNReLU(3, 4, stride=2), *blocks, ConvBNReLU(6, 12, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(12, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), (1, 1)).reshape(x.shape[0], -1))


class DenseNet(nn.Module):
    """Normalisation and ReLU before the convolutions, every layer on all before it, a transition."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 2 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(4 + 2 * i, 2, 3, padding=1, bias=False) for i in range(3))
        self.transition = nn.Sequential(
            nn.BatchNorm2d(10), nn.ReLU(inplace=True), nn.Conv2d(10, 4, 1, bias=False), nn.AvgPool2d(2, 2)
        )
        self.norm5 = nn.BatchNorm2d(4)
        self.classifier = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.conv0(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(F.dropout(conv(F.relu(norm(torch.cat(features, 1)))), 0.1, self.training))
        x = F.relu(self.norm5(self.transition(torch.cat(features, 1))), inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class SqueezeNet(nn.Module):
    """Fire modules, max-pooling with ceil_mode, a classifier of convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, ceil_mode=True))
        self.squeeze = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(inplace=True))
        self.expand1x1, self.expand3x3 = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 3, padding=1)
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(6, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(self.stem(x))
        x = torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)
        return torch.flatten(self.classifier(x), 1)


class Inception(nn.Module):
    """Branches, pooling of the pixels that there are, factorised and asymmetric convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.branch1 = nn.Conv2d(3, 2, 1)
        self.branch7_1, self.branch7_2 = (
            nn.Conv2d(3, 2, (1, 7), padding=(0, 3)),
            nn.Conv2d(2, 2, (7, 1), padding=(3, 0)),
        )
        self.branch_pool = nn.Conv2d(3, 2, 1)
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)
        branches = [self.branch1(x), self.branch7_2(F.relu(self.branch7_1(x))), self.branch_pool(pooled)]
        x = F.relu(torch.cat(branches, 1))
        return self.fc(F.max_pool2d(x, x.size(2)).flatten(start_dim=1))


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 2, 5), nn.Conv2d(2, 4, 5)
        self.fc1, self.fc2 = nn.Linear(4 * 4 * 4, 12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, self.num_flat_features(x))
        return self.fc2(F.relu(self.fc1(x)))

    def num_flat_features(self, x: Tensor) -> int:
        features = 1
        for n in x.size()[1:]:
            features *= n
        return features


class Quadratic(nn.Module):
    """Learned polynomials: one per layer, one per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(64, 5)
        self.layer = nn.ParameterList(nn.Parameter(torch.tensor(v)) for v in (0.2, 0.5, 0.1))
        self.channel = nn.Parameter(torch.rand(3, 1, 4, 1, 1, generator=torch.Generator().manual_seed(0)) / 2)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = self.layer
        x = self.conv1(x)
        x = a * x.pow(2) + b * x + c
        x = self.conv2(x)
        x = (self.channel[0] * x + self.channel[1]) * x + self.channel[2]
        return self.fc(torch.flatten(x, 1))


class Shared(nn.Module):
    """One block of weights used three times; halves that meet again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 4, 3, 2, padding=1), nn.Conv2d(4, 4, 3, padding="same")
        self.bn, self.act, self.head = nn.BatchNorm2d(4), nn.LeakyReLU(0.1), nn.LazyLinear(5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(F.pad(x, (0, 1, 0, 1)))
        for _ in range(3):
            x = self.act(self.bn(self.block(x)))
        left, right = x.chunk(2, dim=1)
        return self.head(torch.cat((right, left - right), 1).mean(dim=(-2, -1)))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(48, 16), nn.BatchNorm1d(16), nn.Hardtanh(),
        nn.Sequential(nn.Identity(), nn.Linear(16, 8)), nn.PReLU(8), nn.Linear(8, 5),
    )  # fmt: skip


SHORTCUTS = ("pad", "conv", "conv_bn", "cat", "zeros")

FAMILIES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    **{f"resnet, {name}": (partial(ResNet, name), (3, 16, 16)) for name in SHORTCUTS},
    "bottleneck": (Bottleneck, (3, 8, 8)),
    "vgg": (VGG, (3, 32, 32)),
    "vgg, average pooling": (partial(VGG, nn.AvgPool2d), (3, 32, 32)),
    "mobilenet": (MobileNetV2, (3, 12, 12)),
    "densenet": (DenseNet, (3, 8, 8)),
    "squeezenet": (SqueezeNet, (3, 15, 15)),
    "inception": (Inception, (3, 8, 8)),
    "lenet": (LeNet, (1, 28, 28)),
    "quadratic": (Quadratic, (3, 8, 8)),
    "shared weights": (Shared, (3, 9, 9)),
    "mlp": (mlp, (3, 4, 4)),
}  # fmt: skip
