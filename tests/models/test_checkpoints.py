"""The trained checkpoints load by name, strictly, and classify as their authors say."""

import pytest
import torch
from realdata import checkpoint, cifar, mnist

from circa.models import MiniONN, MnistB, resnet20

pytestmark = pytest.mark.filterwarnings("ignore:.*NNPACK.*")


def accuracy(model, x, y) -> float:
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def test_resnet20(shared):
    model = resnet20()
    model.load_state_dict(checkpoint(shared, "cifar10_resnet20"), strict=True)
    assert (
        accuracy(model, *cifar(shared, "test", 200)) >= 0.88
    )  # 91.5 % on the first 1,000: three sigma of 200


def test_minionn_with_relu6(shared):
    model = MiniONN()
    model.load_state_dict(checkpoint(shared, "cifar10_minionn_relu6"), strict=True)
    assert accuracy(model, *cifar(shared, "test", 200, normalised=False)) >= 0.80  # 86.3 %


def test_mnist_network_b(shared):
    model = MnistB()
    model.load_state_dict(checkpoint(shared, "mnist_cnn_b"), strict=True)
    assert accuracy(model, *mnist(shared, 500)) >= 0.98  # 99.2 %
