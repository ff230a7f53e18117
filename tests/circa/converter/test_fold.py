"""What folds, into what, and that the values stay the same: float64 against float64."""

import pytest
import torch
import torch.nn.functional as F
from networks import Function, kinds, run, settle, traced
from torch import nn

from circa.converter.fold import fold
from circa.converter.graph import Linear, Scale, topological

IMAGE = (4, 6, 6)
NORM = nn.BatchNorm2d


def folded(model: nn.Module, shape: tuple[int, ...]):
    """The kinds of the folded nodes, after checking that they compute what the unfolded ones do."""
    settle(model)
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(3))
    before = run(topological(traced(model, x)), x)
    nodes = topological(fold(traced(model, x)))
    torch.testing.assert_close(run(nodes, x), before, rtol=1e-12, atol=1e-12)
    return nodes


CASES = {
    "conv, bn": (nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), NORM(6)), IMAGE, ["Linear"]),
    "depthwise conv, bn": (nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), NORM(8)), IMAGE, ["Linear"]),
    "linear, bn": (nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5)), (7,), ["Linear"]),
    "conv, bn, bn, factor": (
        Function(lambda x, m: m.b(m.a(m.c(x))) * 0.3, c=nn.Conv2d(4, 6, 3), a=NORM(6), b=NORM(6)),
        IMAGE,
        ["Linear"],
    ),
    "bn, conv without padding": (nn.Sequential(NORM(4), nn.Conv2d(4, 6, 3)), IMAGE, ["Linear"]),
    "bn, grouped conv": (nn.Sequential(NORM(4), nn.Conv2d(4, 6, 3, groups=2)), IMAGE, ["Linear"]),
    "bn, padded conv: the border would change": (
        nn.Sequential(NORM(4), nn.Conv2d(4, 6, 3, padding=1)),
        IMAGE,
        ["Linear", "Linear"],
    ),
    "factor, padded conv": (Function(lambda x, m: m.c(x / 3), c=nn.Conv2d(4, 6, 3, padding=1)), IMAGE,
                            ["Scale", "Linear"]),  # the power of two stays, it costs nothing
    "average of nine, conv": (
        nn.Sequential(nn.AvgPool2d(3), nn.Conv2d(4, 5, 1)),
        IMAGE,
        ["Pool", "Scale", "Linear"],
    ),
    "bn, pool, flatten, linear": (
        nn.Sequential(NORM(4), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(16, 3)),
        IMAGE,
        ["Pool", "Linear"],
    ),
    "bn, padded pool, linear": (
        nn.Sequential(NORM(4), nn.AvgPool2d(2, 2, 1), nn.Flatten(), nn.Linear(64, 3)),
        IMAGE,
        ["Linear", "Pool", "Scale", "Linear"],
    ),
    "relu, bn, relu": (
        nn.Sequential(nn.ReLU(), NORM(4), nn.ReLU()),
        IMAGE,
        ["Activate", "Linear", "Activate"],
    ),
    "conv read twice, bn": (
        Function(lambda x, m: m.b(m.c(x)) + F.relu(m.c(x)), c=nn.Conv2d(4, 4, 1), b=NORM(4)),
        IMAGE,
        ["Linear", "Linear", "Activate", "Add"],
    ),
    "factor through pad, slice": (
        Function(lambda x, m: m.c(F.pad(x * 1.7, (1, 1))[:, :, ::2]), c=nn.Conv2d(4, 5, 1)),
        IMAGE,
        ["Pad", "Slice", "Linear"],
    ),
    "hardtanh, linear": (nn.Sequential(nn.Hardtanh(), nn.Linear(7, 3)), (7,), ["Activate", "Linear"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_left(name):
    model, shape, expected = CASES[name]
    assert kinds(folded(model, shape))[1:] == expected


def test_a_layer_whose_result_is_read_elsewhere_keeps_its_values():
    model = Function(lambda x, m: (lambda y: F.relu(y) + m.b(y))(m.c(x)), c=nn.Conv2d(4, 4, 1), b=NORM(4))
    nodes = folded(model, IMAGE)
    assert sum(isinstance(node, Linear) for node in nodes) == 2


def test_the_power_of_two_of_an_average_stays_out_of_the_weights():
    nodes = folded(nn.Sequential(nn.AvgPool2d(3), nn.Flatten(), nn.Linear(16, 3, bias=False)), IMAGE)
    (scale,) = (node for node in nodes if isinstance(node, Scale))
    assert scale.factor == 1 / 16  # 1/9 = 1/16 * 16/9


def test_a_residual_network_has_one_linear_layer_per_convolution():
    from circa.models import resnet20

    model = resnet20(shortcut="conv_bn")
    nodes = folded(model, (3, 32, 32))
    convolutions = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules())
    assert kinds(nodes).count("Linear") == convolutions
