"""Masks in the model and masks by name: fewer sign tests, the same values as PyTorch."""

import pytest
import torch
import torch.nn.functional as F
from networks import Function, kinds, network, run
from torch import Tensor, nn

from circa import convert
from circa.converter.graph import Activate
from circa.errors import ParameterError

IMAGES = torch.randn(24, 3, 6, 6, generator=torch.Generator().manual_seed(0))
MASK = torch.rand(4, 6, 6, generator=torch.Generator().manual_seed(1)) < 0.3
SOME = MASK.float()


class Masked(nn.Module):
    """conv, masked activation, conv: `how` combines mask, activation's result and its operand."""

    def __init__(self, how, mask: Tensor = SOME, activation=F.relu) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3)
        self.register_buffer("mask", mask)
        self.how, self.activation = how, activation

    def forward(self, x):
        z = self.a(x)
        return self.b(self.how(self.mask, self.activation(z), z))


FORMS = {
    "zero": (lambda m, y, z: m * y, SOME, "zero"),
    "zero, bool": (lambda m, y, z: y * m, MASK, "zero"),
    "zero, with a batch dimension": (lambda m, y, z: m * y, SOME[None], "zero"),
    "zero, where": (lambda m, y, z: torch.where(m, y, 0.0), MASK, "zero"),
    "zero, masked_fill": (lambda m, y, z: y.masked_fill(~m, 0.0), MASK, "zero"),
    "zero, before the activation": (lambda m, y, z: F.relu(m * z), SOME, "zero"),
    "identity": (lambda m, y, z: m * y + (1 - m) * z, SOME, "identity"),
    "identity, the other way round": (lambda m, y, z: (1 - m) * z + y * m, SOME, "identity"),
    "identity, where": (lambda m, y, z: torch.where(m, y, z), MASK, "identity"),
    "identity, where not": (lambda m, y, z: torch.where(~m, z, y), MASK, "identity"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_mask_in_the_model_moves_into_its_activation(name):
    how, mask, others = FORMS[name]
    model = Masked(how, mask)
    nodes = network(model, IMAGES)
    assert kinds(nodes) == ["Source", "Linear", "Activate", "Linear"]
    assert isinstance(nodes[2], Activate)
    assert torch.equal(nodes[2].mask, MASK)
    assert nodes[2].others == others
    with torch.no_grad():
        torch.testing.assert_close(run(nodes, IMAGES).float(), model(IMAGES), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["zero", "identity"])
@pytest.mark.parametrize("activation", [F.relu, F.relu6])
def test_the_converted_network(name, activation):
    how, mask, others = FORMS[name]
    model = Masked(how, mask, activation)
    converted = convert(model, IMAGES)
    knots = 2 if activation is F.relu6 else 1
    assert converted.program.relus == knots * int(MASK.sum())
    (op,) = converted.program.activations
    assert op.mask is not None
    assert op.mask.others == others
    with torch.no_grad():
        expected = model(IMAGES)
    for stochastic in (False, True):
        off = (converted(IMAGES, stochastic=stochastic) - expected).abs()
        assert off.max() < 0.3 * expected.std()


def test_a_channel_is_dropped_whole():
    model = Masked(lambda m, y, z: m * y, torch.tensor([1.0, 0.0, 1.0, 0.0]).view(4, 1, 1))
    assert convert(model, IMAGES).program.relus == 2 * 36


def test_whole_channels_of_any_other_value_fold_away():
    model = Masked(lambda m, y, z: m * z, torch.tensor([1.0, 0.0, 1.0, 0.0]).view(4, 1, 1))
    nodes = network(model, IMAGES)
    assert kinds(nodes) == ["Source", "Linear", "Linear"]
    with torch.no_grad():
        torch.testing.assert_close(run(nodes, IMAGES).float(), model(IMAGES), rtol=1e-5, atol=1e-5)


def test_a_layer_that_keeps_all_or_nothing_has_no_mask():
    how = FORMS["identity"][0]
    assert kinds(network(Masked(how, torch.ones(4, 1, 1)), IMAGES)) == [
        "Source",
        "Linear",
        "Activate",
        "Linear",
    ]
    assert kinds(network(Masked(how, torch.zeros(4, 1, 1)), IMAGES)) == ["Source", "Linear", "Linear"]


@pytest.mark.parametrize("others", ["identity", "zero"])
def test_a_mask_by_name(others):
    plain = Masked(lambda m, y, z: y)
    converted = convert(plain, IMAGES, masks={"relu": SOME}, others=others)
    same = convert(Masked(FORMS[others][0]), IMAGES)
    assert converted.program.relus == same.program.relus == int(MASK.sum())
    torch.testing.assert_close(
        converted(IMAGES, stochastic=False), same(IMAGES, stochastic=False), rtol=0, atol=0.02
    )


def test_masks_by_name_that_keep_all_or_nothing():
    plain = Masked(lambda m, y, z: y)
    assert convert(plain, IMAGES, masks={"relu": torch.ones(4, 6, 6)}).program.activations[0].mask is None
    none = convert(plain, IMAGES, masks={"relu": torch.zeros(4, 1, 1)}).program
    assert none.relus == 0


@pytest.mark.parametrize(("relu", "equalised"), [("table", False), ("circa", True)])
@pytest.mark.parametrize("others", ["identity", "zero"])
def test_a_mask_that_keeps_nothing_needs_no_range(others, relu, equalised):
    """Of one layer of two: it is linear or zero, converts, and computes what the model does."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 4, 3)
    ).eval()  # fmt: skip
    nothing = torch.zeros(4, 4, 4)
    converted = convert(
        model, IMAGES, masks={"1": nothing}, others=others, relu=relu, equalised=equalised, per_channel=False
    )
    assert converted.program.relus == 20
    with torch.no_grad():
        z = model[0](IMAGES) * (others == "identity")
        want = model[2:](z)
    got = converted(IMAGES, stochastic=False)
    torch.testing.assert_close(got.float(), want, rtol=0, atol=0.02)


REFUSED = {
    "no names": ({"masks": [SOME]}, "masks are tensors by the name of an activation, not a list"),
    "another layer's name": ({"masks": {"relu7": SOME}}, "no activation 'relu7' to mask: relu"),
    "shape": ({"masks": {"relu": torch.ones(3, 6, 6)}}, r"relu: a mask of shape \(3, 6, 6\)"),
    "a batch dimension": ({"masks": {"relu": SOME[None]}}, r"relu: a mask of shape \(1, 4, 6, 6\)"),
    "a word": ({"masks": {"relu": "all"}}, "relu: a mask is a tensor of zeros and ones, not a str"),
    "NaN": ({"masks": {"relu": SOME * torch.nan}}, "relu: a mask holds zeros and ones"),
    "complex": ({"masks": {"relu": SOME + 1j}}, "relu: a mask holds zeros and ones"),
    "values": ({"masks": {"relu": SOME / 2}}, "relu: a mask holds zeros and ones"),
    "others": ({"masks": {"relu": SOME}, "others": "one"}, "'one'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_masks_by_name_that_are_refused(name):
    options, message = REFUSED[name]
    with pytest.raises(ParameterError, match=message):
        convert(Masked(lambda m, y, z: y), IMAGES, **options)


ELSEWHERE = {
    "a linear layer": (Masked(lambda m, y, z: m * z), 0),
    "an activation that is read twice": (Masked(lambda m, y, z: m * y + y), 144),
    "two activations": (Masked(lambda m, y, z: m * y + (1 - m) * F.relu(-z)), 144),
    "a slope below zero": (Masked(lambda m, y, z: m * F.leaky_relu(z, 0.1) + (1 - m) * z), 144),
    "the input": (Function(lambda x: x * torch.ones(3, 6, 6).tril()), 0),
    "AutoReP's quadratic": (
        Masked(lambda m, y, z: m * y + (1 - m) * (0.3 * z * z + z / 2 + 0.1)),
        int(MASK.sum()),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_masks_on_anything_are_local(name):
    model, relus = ELSEWHERE[name]
    nodes = network(model, IMAGES)
    with torch.no_grad():
        expected = model(IMAGES)
    torch.testing.assert_close(run(nodes, IMAGES).float(), expected, rtol=1e-5, atol=1e-5)
    converted = convert(model, IMAGES)
    assert converted.program.relus == relus
    off = (converted(IMAGES, stochastic=False) - expected).abs()
    assert off.max() < 0.05 * expected.abs().max()
