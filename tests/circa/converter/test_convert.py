"""Whole conversions: the simulated network against PyTorch, every ReLU protocol, and the self-check."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import Function, network, settle
from torch import nn

from circa import convert
from circa.converter import verify
from circa.converter.capture import capture, inference_copy
from circa.converter.graph import Linear
from circa.errors import ConversionError, ParameterError
from circa.model import ConvertedModel
from circa.program import Activate, Concat, Scale
from circa.protocols.relu import NAMES, modulus_for

IMAGES = torch.randn(48, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Everything(nn.Module):
    """One of each: residual with and without projection, ReLU6, max- and average pooling, concat, a pad."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.a = nn.Conv2d(8, 8, 3, padding=1)
        self.down = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
        self.b = nn.Conv2d(8, 16, 3, 2, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.after = nn.BatchNorm2d(16)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        x = self.stem(x)
        x = F.relu6(self.a(x) + x)
        x = F.relu(self.b(x) + self.down(x))
        x = self.after(F.hardtanh(self.depthwise(x)))
        x = torch.cat([F.max_pool2d(x, 2), 0.3 * F.avg_pool2d(x, 3, 2, 1)], 1)
        return self.head(F.adaptive_avg_pool2d(F.pad(x, (0, 1, 0, 1)), 1).flatten(1))


@pytest.fixture(scope="module")
def everything() -> nn.Module:
    torch.manual_seed(3)
    return settle(Everything())


@pytest.fixture(scope="module")
def converted(everything) -> ConvertedModel:
    return convert(everything, IMAGES)


def test_the_fixed_point_network_is_the_real_one(everything, converted):
    with torch.no_grad():
        expected = everything(IMAGES)
    spread = expected.std().item()
    assert (converted(IMAGES, stochastic=False) - expected).abs().max().item() < 0.1 * spread
    generator = torch.Generator().manual_seed(1)
    assert (converted(IMAGES, generator=generator) - expected).abs().mean().item() < 0.2 * spread


def test_more_bits_are_more_exact(everything):
    with torch.no_grad():
        expected = everything(IMAGES)
    errors = []
    for weight_bits in (6, 10):
        converted = convert(everything, IMAGES, weight_bits=weight_bits, activation_bits=14, input_bits=14)
        errors.append((converted(IMAGES, stochastic=False) - expected).abs().max().item())
    assert errors[1] < errors[0] / 4


@pytest.mark.parametrize("relu", [name for name in NAMES if name != "rescale"])
def test_every_relu_protocol_by_name(everything, relu):
    converted = convert(everything, IMAGES, relu=relu, truncate_bits=8)
    assert converted.program.relu == relu
    assert converted.program.modulus == modulus_for(relu)
    windows = [op.window is not None for op in converted.program.activations if op.knots]
    assert all(windows) if modulus_for(relu).is_ring else not any(windows)
    with torch.no_grad():
        expected = everything(IMAGES)
    assert (converted(IMAGES, stochastic=False) - expected).abs().max().item() < 0.1 * expected.std().item()


def test_the_modulus_can_be_chosen_where_the_protocol_leaves_it_open(everything):
    assert convert(everything, IMAGES, relu="circa", modulus="ring").program.modulus.is_ring
    with pytest.raises(ParameterError, match="needs the ring"):
        convert(everything, IMAGES, modulus="prime")
    with pytest.raises(ParameterError, match="no sign test"):
        convert(everything, IMAGES, relu="rescale")


def test_names_labels_and_progress(everything):
    steps = []
    labels = [f"class {i}" for i in range(5)]
    converted = convert(everything, IMAGES, labels=labels, progress=lambda *step: steps.append(step))
    assert converted.program.labels == tuple(labels)
    assert {"stem.0", "a", "down.0", "b", "head"} <= {op.name for op in converted.program.linear}
    assert [step for step, done, total in steps if done == total] == ["trace", "calibrate", "check"]


def test_operands_of_a_concat_are_aligned():
    model = Function(lambda x, m: torch.cat([F.relu(x), m.a(x)], 1), a=nn.Conv2d(3, 3, 1))
    ops = convert(model, IMAGES).program.operations
    (concat,) = (op for op in ops if isinstance(op, Concat))
    (scale,) = (op for op in ops if isinstance(op, Scale))
    assert scale.factor == 1024
    assert {ops[i].frac_bits for i in concat.inputs} == {22}


def test_numbers_of_numpy_are_numbers(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    options = {"bits": np.int64(5), "weight_bits": np.int16(9), "margin": np.float32(1.5)}
    made = convert(model, IMAGES, **options)
    made.save(tmp_path / "model.circa")
    assert ConvertedModel.load(tmp_path / "model.circa").program == made.program


def test_save_and_load(converted, tmp_path):
    converted.save(tmp_path / "model.circa")
    again = ConvertedModel.load(tmp_path / "model.circa")
    assert again.program == converted.program
    assert torch.equal(again(IMAGES[:4], stochastic=False), converted(IMAGES[:4], stochastic=False))


def test_two_linear_layers_in_a_row_get_a_rescale_between_them():
    """A depthwise separable network without activations in the middle, as MobileNetV2 has it."""
    torch.manual_seed(2)
    model = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1, groups=g) for g in (1, 3, 1, 3, 1)), nn.ReLU())
    converted = convert(model, IMAGES, weight_bits=11)
    rescales = [op for op in converted.program.activations if not op.knots]
    assert rescales
    assert all(op.shift > 0 and op.name.endswith(".rescale0") for op in rescales)
    with torch.no_grad():
        expected = model(IMAGES)
    assert (converted(IMAGES, stochastic=False) - expected).abs().max().item() < 0.05 * expected.std().item()


@pytest.mark.parametrize(
    "activation", [nn.LeakyReLU(0.1), nn.LeakyReLU(0.25), nn.PReLU(4), nn.PReLU(init=0.3)]
)
def test_slopes_below_zero(activation):
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), activation, nn.Conv2d(4, 4, 3), activation, nn.Flatten(), nn.Linear(64, 3)
    )
    if isinstance(activation, nn.PReLU) and activation.weight.numel() > 1:
        activation.weight.data += torch.linspace(-0.3, 0.2, activation.weight.numel())
    converted = convert(model, IMAGES)
    assert converted.program.relus == 4 * 36 + 4 * 16
    assert sum(not op.knots for op in converted.program.activations) == 2  # one round trip more for each
    with torch.no_grad():
        expected = model(IMAGES)
    assert (converted(IMAGES, stochastic=False) - expected).abs().max().item() < 0.1 * expected.std().item()


def checked(tamper) -> str:
    """The refusal of a conversion whose integer program `tamper` changes before the self-check."""
    original = verify.check_program

    def check(model, place, scales, calibration):
        original(tamper(model), place, scales, calibration)

    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4), nn.ReLU(), nn.Linear(4, 2)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("circa.converter.conversion.check_program", check)
        with pytest.raises(ConversionError) as error:
            convert(model, IMAGES)
    return str(error.value)


def changed(model: ConvertedModel, name: str, **fields) -> ConvertedModel:
    program = model.program
    ops = tuple(dataclasses.replace(op, **fields) if op.name == name else op for op in program.operations)
    return ConvertedModel(dataclasses.replace(program, operations=ops), model.weights)


def test_the_self_check_finds_a_weight_that_is_off_by_one_unit():
    def tamper(model):
        weights = {name: w.copy() for name, w in model.weights.items()}
        weights["3.weight"][0] += 1
        return ConvertedModel(model.program, weights)

    assert checked(tamper).startswith("3: ")


def test_the_self_check_finds_a_bias_that_is_off():
    def tamper(model):
        weights = {name: w.copy() for name, w in model.weights.items()}
        weights["0.bias"][1] += 1 << 18
        return ConvertedModel(model.program, weights)

    assert checked(tamper).startswith("0: ")


def test_the_self_check_finds_a_knot_that_is_off():
    assert checked(lambda model: changed(model, "1", knots=(1 << 20,))).startswith("1: ")


def test_the_self_check_names_the_first_layer_that_is_off():
    def tamper(model):
        return changed(changed(model, "4", knots=(1 << 20,)), "1", coefs=(-1,))

    assert checked(tamper).startswith("1: ")


def test_values_outside_their_window_are_not_the_layer_s_fault(everything):
    """A margin of 1 puts the calibration batch at the very edge; faults before may push values over it."""
    convert(everything, IMAGES, margin=1.0, bits=4)


def test_the_bound_ends_where_the_window_does(everything, monkeypatch):
    seen, bound = [], verify.bound
    monkeypatch.setattr(verify, "bound", lambda *given: seen.append(given) or bound(*given))
    convert(everything, IMAGES)
    relus = [(node, op, x, scales) for node, op, x, scales in seen if getattr(op, "knots", ()) == (0,)]
    assert relus
    for node, op, x, scales in relus:
        below, above = (torch.from_numpy(far).double() for far in op.window.reach())
        assert (below != above).any()
        unit = torch.ones(1, op.shape[0], *[1] * (x.ndim - 2)) * 2.0 ** -scales.frac_bits[node.inputs[0]]
        for edge, out in ((above, 1), (-below, -1)):
            inside = edge.reshape(-1, *[1] * (x.ndim - 2))
            assert bound(node, op, inside * unit, scales).isfinite().all()
            assert bound(node, op, (inside + out) * unit, scales).isinf().all()


def test_the_network_check_names_the_first_layer_that_differs():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    exported = capture(inference_copy(model), IMAGES)
    nodes = network(model, IMAGES)
    verify.check_network(exported, nodes, IMAGES)
    last = nodes[-1]
    assert isinstance(last, Linear)
    last.bias = last.bias + 0.1
    with pytest.raises(ConversionError, match=r"^2: .*differs from PyTorch"):
        verify.check_network(exported, nodes, IMAGES)


def test_the_network_check_takes_fewer_images_than_it_traces():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    converted = convert(model, IMAGES[:1])
    assert isinstance(converted.program.output, Activate)
