"""VGG-16 (Simonyan, Zisserman, ICLR 2015, configuration D), with torchvision's names.

Thirteen 3x3 convolutions in `features`, five 2x2 poolings. The head for 32x32 images is one fully connected
layer, `classifier`; the one for 224x224 images has three, `classifier.0`, `.3` and `.6`.
"""

from torch import Tensor, nn

__all__ = ["VGG", "vgg16", "vgg16_cifar"]

WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0: pooling


class VGG(nn.Module):
    """`pooling` is a module class: nn.MaxPool2d or nn.AvgPool2d."""

    def __init__(
        self,
        classifier: nn.Module,
        batch_norm: bool = False,
        pooling: type[nn.MaxPool2d] | type[nn.AvgPool2d] = nn.MaxPool2d,
        grid: int = 1,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in WIDTHS:
            if width == 0:
                layers.append(pooling(2, 2))
                continue
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


def vgg16(
    num_classes: int = 1000,
    batch_norm: bool = False,
    pooling: type[nn.MaxPool2d] | type[nn.AvgPool2d] = nn.MaxPool2d,
) -> VGG:
    """For (3, 224, 224)."""
    classifier = nn.Sequential(
        nn.Linear(512 * 7 * 7, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, num_classes),
    )
    return VGG(classifier, batch_norm, pooling, grid=7)


def vgg16_cifar(
    num_classes: int = 10,
    batch_norm: bool = True,
    pooling: type[nn.MaxPool2d] | type[nn.AvgPool2d] = nn.MaxPool2d,
) -> VGG:
    """For (3, 32, 32)."""
    return VGG(nn.Linear(512, num_classes), batch_norm, pooling)
