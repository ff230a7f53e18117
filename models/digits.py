"""A small CNN for scikit-learn's 8x8 handwritten digits: the network of the demonstration."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DigitsCNN", "train"]


class DigitsCNN(nn.Module):
    """Input (1, 8, 8): two 3x3 convolutions with batch normalisation and ReLU, pooling, a linear head."""

    def __init__(self, num_classes: int = 10, widths: tuple[int, int] = (16, 32)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.conv2 = nn.Conv2d(widths[0], widths[1], 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(widths[1])
        self.pool = nn.AvgPool2d(2)
        self.fc = nn.Linear(widths[1] * 4 * 4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.pool(F.relu(self.bn2(self.conv2(x))))
        logits: Tensor = self.fc(x.flatten(1))
        return logits


def train(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    epochs: int = 8,
    batch: int = 128,
    generator: torch.Generator | None = None,
) -> None:
    """Adam with a one-cycle learning rate, in place; leaves the model in eval mode. y is (n,) int64."""
    steps = epochs * -(-len(x) // batch)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1e-2, total_steps=steps)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x), batch):
            chosen = order[start : start + batch]
            optimiser.zero_grad()
            torch.autograd.backward(F.cross_entropy(model(x[chosen]), y[chosen]))
            optimiser.step()
            schedule.step()
    model.eval()
