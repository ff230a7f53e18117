"""Two small networks for 28x28 digits.

LeNet     LeNet-5 (LeCun, Bottou, Bengio, Haffner, 1998) with ReLU; average or max pooling
MnistB    network B of MiniONN (Liu, Juuti, Lu, Asokan, CCS 2017) with batch normalisation and average
          pooling; names as in CrypTen's checkpoint
"""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LeNet", "MnistB"]


class LeNet(nn.Module):
    """Input (1, 28, 28). `pooling` is a module class: nn.AvgPool2d or nn.MaxPool2d."""

    def __init__(
        self, num_classes: int = 10, pooling: type[nn.AvgPool2d] | type[nn.MaxPool2d] = nn.AvgPool2d
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = pooling(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = F.relu(self.fc1(x.flatten(1)))
        x = F.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


class MnistB(nn.Module):
    """Input (1, 28, 28)."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.conv2 = nn.Conv2d(16, 16, 5)
        self.fc1 = nn.Linear(16 * 4 * 4, 100)
        self.fc2 = nn.Linear(100, num_classes)
        self.batchnorm1 = nn.BatchNorm2d(16)
        self.batchnorm2 = nn.BatchNorm2d(16)
        self.batchnorm3 = nn.BatchNorm1d(100)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(F.relu(self.batchnorm1(self.conv1(x))), 2)
        x = F.avg_pool2d(F.relu(self.batchnorm2(self.conv2(x))), 2)
        x = F.relu(self.batchnorm3(self.fc1(x.flatten(1))))
        logits: Tensor = self.fc2(x)
        return logits
