"""Equalisation: the same function, closer ranges, and nothing where a branch reads the layer."""

import pytest
import torch
import torch.nn.functional as F
from networks import Function, network, run
from torch import nn

from circa import convert
from circa.converter.calibrate import calibrate
from circa.converter.equalise import MOST, equalise
from circa.converter.graph import Activate

IMAGES = torch.randn(24, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def uneven(conv: nn.Conv2d) -> nn.Conv2d:
    """Channels of ranges that differ by powers of three."""
    with torch.no_grad():
        scale = 3.0 ** -torch.arange(conv.out_channels)
        conv.weight *= scale[:, None, None, None]
        conv.bias *= scale
    return conv


def equalised(model: nn.Module):
    nodes = network(model, IMAGES)
    ranges = calibrate(nodes, IMAGES, lambda done, total: None)
    before = {node: ranges.far(node) for node in ranges.low}
    equalise(nodes, ranges)
    after = calibrate(nodes, IMAGES, lambda done, total: None)
    for node in nodes:
        assert ranges.largest[node] >= after.largest[node] * (1 - 1e-6)  # a bound, after the activation
        if isinstance(node, Activate):
            for mine, its in ((ranges.low, after.low), (ranges.high, after.high)):
                torch.testing.assert_close(mine[node], its[node], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(run(nodes, IMAGES), model.double()(IMAGES.double()), rtol=1e-6, atol=1e-6)
    model.float()
    return [(before[node], after.far(node)) for node in nodes if isinstance(node, Activate)]


LINES = {
    "conv": nn.Sequential(uneven(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.Conv2d(4, 2, 3)),
    "grouped conv": nn.Sequential(uneven(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2)),
    "pool, flatten": nn.Sequential(
        uneven(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    ),
    "pad, slice": Function(
        lambda x, m: m.b(F.pad(F.relu(m.a(x)), (1, 1))[:, :, ::2]),
        a=uneven(nn.Conv2d(3, 4, 3)),
        b=nn.Conv2d(4, 2, 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_ranges_come_closer(name):
    ((before, after),) = equalised(LINES[name])
    assert before.max() / before.min() > 3 * MOST
    assert after.max() == pytest.approx(before.max())
    assert (after >= torch.minimum(before.max() / 2, before * MOST) * (1 - 1e-5)).all()


BRANCHES = {
    "two readers": lambda x, m: (lambda y: m.b(y) + m.b(y))(F.relu(m.a(x))),
    "a sum": lambda x, m: m.b(F.relu(m.a(x)) + F.relu(-m.a(x))),
    "two knots": lambda x, m: m.b(F.relu6(m.a(x))),
    "channels cut": lambda x, m: m.b(F.pad(F.relu(m.a(x))[:, :2], (0, 0, 0, 0, 1, 1))),
    "the last layer": lambda x, m: F.relu(m.a(x)),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_what_cannot_be_moved_stays(name):
    model = Function(BRANCHES[name], a=uneven(nn.Conv2d(3, 4, 3)), b=nn.Conv2d(4, 2, 1))
    for before, after in equalised(model):
        torch.testing.assert_close(before, after)


@pytest.mark.parametrize("options", [{"per_channel": False}, {"relu": "circa"}])
def test_it_is_an_option(options):
    model = LINES["conv"]
    with torch.no_grad():
        expected = model(IMAGES)
    plain = convert(model, IMAGES, weight_bits=12, **options)
    other = convert(model, IMAGES, weight_bits=12, equalised=True, **options)
    assert (plain.weights["0.weight"] != other.weights["0.weight"]).any()
    for converted in (plain, other):
        assert (converted(IMAGES, stochastic=False) - expected).abs().max() < 0.05 * expected.std()
