"""Issue 4, "Shown by": trained networks on 500 real images, by simulation."""

from pathlib import Path

import pytest
from realdata import checkpoint, cifar, mnist
from torch import nn

import circa
from circa.accuracy import fault_rates, sweep
from circa.accuracy.sweep import plain_classes
from circa.models import CifarResNet, MiniONN, MnistB, resnet20


@pytest.fixture(scope="module")
def trained(shared: Path) -> CifarResNet:
    model: CifarResNet = resnet20()
    model.load_state_dict(checkpoint(shared, "cifar10_resnet20"))
    return model.eval()


@pytest.fixture(scope="module")
def converted(shared: Path, trained: CifarResNet) -> circa.ConvertedModel:
    return circa.convert(trained, cifar(shared, "train", 256)[0])


@pytest.mark.slow
def test_accuracy_at_six_five_and_four_bits(shared, trained, converted):
    x, y = cifar(shared, "test", 500)
    found = sweep(
        converted, x, y.numpy(), bits=(4, 5, 6), modes=("balanced",), plaintext=plain_classes(trained, x)
    )
    four, five, six = (point.score for point in found.points)
    assert six.accuracy >= found.plaintext - 0.6
    assert six.agreement >= 99
    # one run on 500 images: an image or two of luck on top of the goals, no loss and half a point
    assert five.difference >= -2 * five.spread - 0.2
    assert four.difference >= -0.5 - 2 * four.spread


@pytest.mark.slow
def test_predicted_fault_rates_are_those_of_a_run(shared, converted):
    x = converted.encode(cifar(shared, "test", 32)[0])
    layers, _ = fault_rates(converted.program, converted.linear, x, 0, lambda n: None)
    assert len(layers) == 19
    assert sum(layer.tests for layer in layers) == 32 * 188_416
    for layer in layers:
        assert layer.measured_rate == pytest.approx(layer.predicted_rate, rel=0.1)


@pytest.mark.slow
def test_minionn_with_relu6_at_six_bits(shared):
    model = MiniONN(activation=nn.ReLU6)
    model.load_state_dict(checkpoint(shared, "cifar10_minionn_relu6"))
    x, y = cifar(shared, "test", 500, normalised=False)
    within_point_six(model.eval(), cifar(shared, "train", 256, normalised=False)[0], x, y)


@pytest.mark.slow
def test_mnist_b_at_six_bits(shared):
    model = MnistB()
    model.load_state_dict(checkpoint(shared, "mnist_cnn_b"))
    x, y = mnist(shared, 756)
    within_point_six(model.eval(), x[:256], x[256:], y[256:])


def within_point_six(model, calibration, x, y):
    """The mean of four runs, of plaintext."""
    converted = circa.convert(model, calibration)
    plain = plain_classes(model, x)
    found = sweep(converted, x, y.numpy(), bits=(6,), modes=("balanced",), plaintext=plain, runs=4)
    (six,) = (point.score for point in found.points)
    assert found.exact >= found.plaintext - 0.4
    assert six.accuracy >= found.plaintext - 0.6
    assert six.agreement >= 97
