"""One small network for all tests of this folder: convolutions, ReLU and ReLU6, a shortcut, a head."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import circa


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.third = nn.Conv2d(6, 8, 3, stride=2)
        self.head = nn.Linear(8 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(2 * x))
        x = nn.functional.relu6(self.second(x) + x)
        x = torch.relu(self.third(x))
        logits: Tensor = self.head(x.flatten(1))
        return logits


def images(count: int, seed: int) -> Tensor:
    return torch.randn(count, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def network() -> nn.Module:
    torch.manual_seed(11)
    return Small().eval()


@pytest.fixture(scope="session")
def calibration() -> Tensor:
    return images(400, 1)


@pytest.fixture(scope="session")
def converted(network: nn.Module, calibration: Tensor) -> circa.ConvertedModel:
    return circa.convert(network, calibration)


@pytest.fixture(scope="session")
def test_images() -> Tensor:
    return images(150, 2)


@pytest.fixture(scope="session")
def labels(network: nn.Module, test_images: Tensor) -> np.ndarray:
    """PyTorch's own classes: accuracy is then agreement with plaintext."""
    with torch.no_grad():
        return network(test_images).argmax(1).numpy()
