"""Float ReLUs with the sign test's faults: the law of the integer window, every form, the gradient."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from circa.converter.windows import FLOOR, fill
from circa.errors import ParameterError
from circa.faulty import FaultyReLUs
from circa.protocols.sign.window import MODES, positive_probability

DRAWS = 4000
MARGIN = 1.25


def measured(windows, x, function, margin=MARGIN, seed=0):
    relus = FaultyReLUs(windows, margin, torch.Generator().manual_seed(seed))
    relus.measure()
    with relus:
        exact = function(x)
    relus.done()
    return relus, exact


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [2, 3, 5])
def test_faults_follow_the_law_of_the_integer_window(n, mode):
    ranges = torch.tensor([4.0, 1.0])
    relus, _ = measured((n, mode), torch.stack([ranges, -ranges]), torch.relu)
    width = 2 * ranges * MARGIN / (2**n - 2)
    values = torch.linspace(-0.95, 0.95, 13) * width[:, None]
    z = values.expand(DRAWS, 2, 13)
    with relus:
        y = torch.relu(z)
    positive = (y != 0).double().mean(0).numpy()
    for c, held in enumerate(ranges.tolist()):
        integers = np.rint(values[c].double().numpy() * 2**20).astype(np.int64)
        most = math.ceil(held * MARGIN * 2**20)
        window = fill(np.array([[-most], [most]]), (0,), n, mode, "table")
        law = positive_probability(integers, window.gain[0], n, mode)
        seen = positive[c][integers != 0]  # y = 0 says nothing where z = 0
        law = law[integers != 0]
        assert (np.abs(seen - law) < 5 * np.sqrt(law * (1 - law) / DRAWS) + 2e-3).all()
        assert ((law > 0) & (law < 1)).sum() >= 6
    assert torch.equal(y[y != 0], z[y != 0])


def test_a_channel_without_a_range_gets_the_floor():
    x = torch.tensor([[8.0, 0.0]])
    relus, _ = measured((2, "poszero"), x, torch.relu, margin=1.0)  # W = 8 / 2, and 2 * 8 * FLOOR / 2
    z = torch.tensor([[3.9, 8 * FLOOR * 1.01]]).expand(DRAWS, 2)
    with relus:
        y = torch.relu(z)
    assert (y[:, 1] > 0).all()
    assert (y[:, 0] == 0).any()
    with relus:
        assert (torch.relu(z * 0.9)[:, 1] == 0).any()


FORMS = {
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "method": lambda z: z.relu(),
    "module": nn.ReLU(),
    "in place": lambda z: nn.ReLU(inplace=True)(z.clone()),
    "relu6": F.relu6,
    "ReLU6": nn.ReLU6(),
    "hardtanh": nn.Hardtanh(-2.0, 3.0),
    "clamp": lambda z: z.clamp(-1.0, 2.0),
    "clamp min": lambda z: torch.clamp(z, min=0.5),
    "clamp max": lambda z: z.clip(max=0.5),
    "clamp_min": lambda z: z.clamp_min(-0.5),
    "leaky": nn.LeakyReLU(0.2),
    "prelu": nn.PReLU(3),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_replaced_and_keeps_its_meaning(name):
    form = FORMS[name]
    x = 4 * torch.randn(50, 3, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain = form(x)
        relus, exact = measured((16, "balanced"), x, form)
        assert relus.calls == 1
        torch.testing.assert_close(exact, plain)
        with relus:
            fine = form(x)
        coarse, _ = measured((3, "balanced"), x, form)
        with coarse:
            faulty = form(x)
    assert (fine - plain).abs().max() < 30 / 2**15
    assert (faulty - plain).abs().max() > 0.1
    assert torch.equal(form(x), plain)  # outside the block nothing is replaced


def test_in_place_without_using_the_result():
    x = torch.tensor([[3.0, -2.0]])
    relus, _ = measured((8, "balanced"), x, torch.relu)
    z = x.clone()
    with relus:
        z.relu_()
    assert z.tolist() == [[3.0, 0.0]]


def test_the_gradient_is_the_sign_test():
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(2))
    relus, _ = measured((2, "balanced"), x, torch.relu)
    z = x.clone().requires_grad_()
    with relus:
        y = torch.relu(z)
    y.sum().backward()
    assert torch.equal(z.grad, (y != 0).float())
    assert (z.grad != (x > 0)).any()


def test_two_knots_share_their_randomness():
    x = torch.tensor([[10.0], [-10.0]])
    relus, _ = measured((2, "balanced"), x, F.relu6, margin=1.0)
    z = torch.full((DRAWS, 1), 3.0)  # 3 from both knots, half of W is 20 / 4
    with relus:
        y = F.relu6(z)
    low, high = (y == 3.0), (y == 0.0) | (y == 6.0)
    assert bool((low | high).all())
    # with one u: [3 > t] and [-3 > t] differ for t in [-3, 3) only, so 0 + 3 never comes with a lone -(-3)
    assert set(y.unique().tolist()) <= {0.0, 3.0, 6.0}
    assert (y == 6.0).double().mean().item() == pytest.approx((5 - 3) / 10, abs=0.04)


def test_windows_by_call_and_their_number():
    x = torch.linspace(-1, 1, 40).view(20, 2)

    def two(z):
        return torch.relu(torch.relu(z) - 0.2)

    relus, _ = measured([(16, "balanced"), (2, "balanced")], x, two)
    with relus:
        two(x)
    with pytest.raises(ParameterError, match="2 windows for 1 activations"), relus:
        torch.relu(x)
    with pytest.raises(ParameterError, match="1 windows for 2 activations"):
        measured([(4, "balanced")], x, two)


def test_bad_windows():
    for windows in ((1, "balanced"), (17, "balanced"), (4, "middle"), [(4, "balanced"), (0, "poszero")]):
        with pytest.raises(ParameterError, match="a window of"):
            FaultyReLUs(windows)
    with pytest.raises(ParameterError, match="measure them first"), FaultyReLUs((4, "balanced")):
        torch.relu(torch.ones(1, 2))
