"""A multilayer perceptron: flatten, then fully connected layers with ReLU between them."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

__all__ = ["MLP"]


class MLP(nn.Module):
    """`widths` runs from the input's features to the classes: (784, 128, 128, 10) is MiniONN's network A."""

    def __init__(self, widths: Sequence[int] = (784, 128, 128, 10)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x.flatten(1))
        return logits
