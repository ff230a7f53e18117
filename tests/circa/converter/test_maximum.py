"""Max-pooling as ReLUs: values, and how many sign tests an output takes."""

import pytest
import torch
import torch.nn.functional as F
from networks import Function, kinds, network, run
from torch import nn

from circa.converter.graph import Activate, MaxPool, Source, topological
from circa.converter.maximum import expand_maxima

IMAGE = (2, 7, 9)


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (4, 1), (5, 5)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("padding", [0, 1])
def test_maxima_of_any_window(kernel, stride, padding):
    top, left = (padding if k > 1 else 0 for k in kernel)
    x = torch.randn(3, *IMAGE, generator=torch.Generator().manual_seed(1)).double() - 3  # zeros would win
    expected = F.max_pool2d(x, kernel, stride, (top, left))
    around = (top, top, left, left)
    pool = MaxPool("pool", [Source("input", [], IMAGE)], tuple(expected.shape[1:]), kernel, stride, around)
    torch.testing.assert_close(run(topological(expand_maxima(pool)), x), expected, rtol=1e-12, atol=1e-12)


def sign_tests(model: nn.Module, x: torch.Tensor) -> int:
    return sum(n.elements * len(n.knots) for n in network(model, x) if isinstance(n, Activate))


def test_the_activation_moves_behind_the_maximum():
    x = torch.randn(2, 4, 8, 8)
    assert sign_tests(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), x) == 4 * 16 * (3 + 1)
    assert sign_tests(nn.Sequential(nn.ReLU6(), nn.MaxPool2d(2)), x) == 4 * 16 * (3 + 2)
    assert sign_tests(nn.MaxPool2d(3, 2, 1), x) == 4 * (2 * 8 * 4 + 2 * 4 * 4)  # rows are shared by windows


def test_an_activation_that_is_read_elsewhere_stays():
    x = torch.randn(2, 4, 8, 8)
    both = Function(lambda x: F.max_pool2d(F.relu(x), 2) + F.avg_pool2d(F.relu(x), 2))
    assert sign_tests(both, x) == 4 * (16 * 4 + 64)
    shared = Function(lambda x: (lambda y: F.max_pool2d(y, 2) + F.avg_pool2d(y, 2))(F.relu(x)))
    assert sign_tests(shared, x) == 4 * (16 * 3 + 64)


def test_the_tree_does_not_rescale():
    nodes = network(nn.MaxPool2d(2), torch.randn(2, *IMAGE))
    assert [node.rescale for node in nodes if isinstance(node, Activate)] == [False, False]


def test_two_maxima_in_a_row():
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2))
    x = torch.randn(3, *IMAGE)
    nodes = network(model, x)
    torch.testing.assert_close(run(nodes, x), model.double()(x.double()), rtol=1e-6, atol=1e-6)
    assert kinds(nodes)[-1] == "Activate"  # the ReLU moved behind both
