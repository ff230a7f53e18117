"""MiniONN's CIFAR-10 network (Liu, Juuti, Lu, Asokan, CCS 2017), with average pooling as Delphi trains it.

Seven convolutions, each followed by the activation, two 2x2 poolings and one fully connected layer:
173,056 activations for a 32x32 image.
"""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MiniONN"]


class MiniONN(nn.Module):
    """Input (3, 32, 32). `activation` is a module class: nn.ReLU6 as in Delphi's checkpoint, or nn.ReLU."""

    def __init__(self, num_classes: int = 10, activation: type[nn.Module] = nn.ReLU6) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 64, 3, padding=1)
        self.conv1 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv4 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv5 = nn.Conv2d(64, 64, 1)
        self.conv6 = nn.Conv2d(64, 16, 1)
        self.act = activation()
        self.fc = nn.Linear(16 * 8 * 8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv0(x))
        x = F.avg_pool2d(self.act(self.conv1(x)), 2)
        x = self.act(self.conv2(x))
        x = F.avg_pool2d(self.act(self.conv3(x)), 2)
        x = self.act(self.conv4(x))
        x = self.act(self.conv5(x))
        x = self.act(self.conv6(x))
        logits: Tensor = self.fc(x.flatten(1))
        return logits
