"""Models that do not convert and calibration that does not calibrate: one error, named places, a remedy."""

import copy

import pytest
import torch
import torch.nn.functional as F
from networks import Branches, Function
from torch import nn

from circa import convert
from circa.errors import CalibrationError, ConversionError, ParameterError

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def refusal(model: nn.Module, x: torch.Tensor = IMAGES, **options: object) -> str:
    with pytest.raises(ConversionError) as error:
        convert(model, x, **options)
    return str(error.value)


def test_every_problem_is_listed_once_with_its_path():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(3, 3, 2)
            self.act = nn.GELU()

        def forward(self, x):
            return self.act(self.up(x)) + torch.sigmoid(x.mean((1, 2, 3), keepdim=True))

    text = refusal(nn.Sequential(Block(), nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Softmax(1)))
    lines = text.splitlines()[1:]
    assert [line.split(" ")[2] for line in lines] == ["0.up", "0.mean"]
    assert "transposed" in lines[0]
    assert "average over height and width" in lines[1]


BATCH = "keep the first dimension for the batch"

SINGLE = {
    "softmax": (nn.Softmax(1), "apply it to the decoded result"),
    "sigmoid": (nn.Sigmoid(), "nn.Hardtanh"),
    "tanh": (nn.Tanh(), "nn.Hardtanh"),
    "gelu": (nn.GELU(), "nn.ReLU"),
    "silu": (nn.SiLU(), "nn.ReLU"),
    "layer norm": (nn.LayerNorm(8), "nn.BatchNorm2d"),
    "group norm": (nn.GroupNorm(1, 3), "nn.BatchNorm2d"),
    "batch statistics": (nn.BatchNorm2d(3, track_running_stats=False), "track_running_stats=True"),
    "product": (Function(lambda x: x * F.relu(x)), "product"),
    "quotient": (Function(lambda x: x / (1 + F.relu(x))), "divide by a constant"),
    "maximum": (Function(lambda x: torch.maximum(x, -x)), "F.relu"),
    "reflect": (nn.ReflectionPad2d(1), "zeros"),
    "padding with ones": (nn.ConstantPad2d(1, 1.0), "zeros"),
    "ceil mode": (nn.AvgPool2d(3, 3, ceil_mode=True), "ceil_mode=False"),
    "ceil mode of a maximum": (nn.MaxPool2d(3, 3, ceil_mode=True), "ceil_mode=False"),
    "average without padding": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "count_include_pad=True"),
    "windows of two sizes": (nn.AdaptiveAvgPool2d(3), "divides"),
    "linear over pixels": (nn.Linear(8, 2), "flatten"),
    "transpose": (Function(lambda x: x.transpose(1, 2)), "keep (batch, channels, height, width)"),
    "batch as features": (Function(lambda x: x.reshape(-1, 8)), BATCH),
    "mean over the batch": (Function(lambda x: x - x.mean(0, keepdim=True)), BATCH),
    "joined batches": (Function(lambda x: torch.cat([x, x])), BATCH),
    "broadcast": (Function(lambda x: x + x[:, :1]), "equal"),
    "constant per pixel": (Function(lambda x: x + torch.randn(8, 8)), "randomness"),
    "buffer per pixel": (Function(lambda x: x + torch.arange(8.0)), "one per channel"),
    "training dropout": (Function(lambda x: F.dropout(x, 0.5)), "training=self.training"),
    "upsampling": (nn.Upsample(scale_factor=2), "upsampling"),
    "index": (Function(lambda x: x[:, [0, 2]]), "slices"),
    "comparison": (Function(lambda x: torch.where(x > 0, x, -x)), "a comparison"),
    "boolean mask": (Function(lambda x: x[x > 0]), "a comparison"),
}  # fmt: skip


def test_what_does_not_convert_is_listed_with_the_remedy():
    """One network with a branch for everything: one error."""
    branches = {name: model for name, (model, _) in SINGLE.items()}
    lines = refusal(Branches(branches, lambda results: sum(y.sum() for y in results))).splitlines()[1:]
    for name, (_, remedy) in SINGLE.items():
        own = [line for line in lines if f"{line.split(' (')[0].strip()}.".startswith(f"branches.{name}.")]
        assert len(own) == 1, (name, own)
        assert remedy in own[0]


@pytest.mark.parametrize(("model", "remedy"), [
    (Function(lambda x: (x + x, x)), "return one tensor"), (Function(lambda x: x), "computes from its input"),
])  # fmt: skip
def test_a_model_without_one_result(model, remedy):
    assert remedy in refusal(model)


def test_control_flow_that_depends_on_the_input_names_the_module():
    class Gate(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    text = refusal(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(Gate())))
    assert "'1.0'" in text
    assert "depends on the input's values" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers(value):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    model[0].bias.data[1] = value
    model[1].running_var[2] = value
    text = refusal(model)
    assert "0.bias" in text
    assert "1.running_var" in text
    assert "1.weight" not in text


def test_a_model_that_cannot_be_copied():
    model = nn.Sequential(nn.ReLU())
    model.handle = (i for i in range(3))
    assert "cannot be copied" in refusal(model)


def test_labels_of_another_number():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    assert "3 labels for 10 outputs" in refusal(model, labels=["a", "b", "c"])


def calibration_refusal(x: object, model: nn.Module | None = None) -> str:
    with pytest.raises(CalibrationError) as error:
        convert(model or nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), x)
    return str(error.value)


def test_calibration_that_is_no_batch_of_numbers():
    assert "tensor" in calibration_refusal([1.0])
    assert "(batch, channels, height, width)" in calibration_refusal(torch.tensor([1.0, 2.0]))
    assert "(batch, channels, height, width)" in calibration_refusal(torch.zeros(0, 3, 8, 8))
    assert "float" in calibration_refusal(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    for value in (float("nan"), float("inf")):
        assert "NaN or infinity" in calibration_refusal(torch.full((2, 3, 8, 8), value))


def test_one_constant_image():
    assert "input has no range" in calibration_refusal(torch.full((1, 3, 8, 8), 0.5))


def test_calibration_of_the_wrong_shape_names_the_layer_that_refuses_it():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Flatten(), nn.Linear(144, 2))
    assert "'0.0'" in calibration_refusal(torch.randn(2, 1, 8, 8), model)
    assert "'2'" in calibration_refusal(torch.randn(2, 3, 9, 9), model)


def test_a_layer_without_range():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU())
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    text = calibration_refusal(IMAGES, model)
    assert text.startswith("3: ")
    assert "no range" in text


def test_a_range_beyond_the_modulus():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    model[0].weight.data *= 1e5
    model[3].weight.data *= 100
    text = calibration_refusal(IMAGES, model)
    assert "fractional bits" in text or "16 bits" in text


@pytest.mark.parametrize(("option", "value"), [
    ("modulus", "square"), ("margin", 0.5), ("bits", 9), ("bits", 1), ("mode", "loud"), ("input_bits", 40),
    ("activation_bits", 2), ("weight_bits", 16), ("truncate_bits", -1), ("relu", "leaky"),
])  # fmt: skip
def test_options_out_of_range(option, value):
    with pytest.raises(ParameterError, match=str(value)):
        convert(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), IMAGES, **{option: value})


def test_the_model_stays_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    model.train()
    before = copy.deepcopy(model.state_dict())
    convert(model, IMAGES)
    assert model.training
    assert model[1].training
    assert not model[0]._forward_hooks
    assert all(p.requires_grad for p in model.parameters())
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
