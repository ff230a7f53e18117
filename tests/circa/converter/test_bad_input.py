"""Models that do not convert and calibration that does not calibrate: one error, named places, a remedy."""

import copy
import re

import pytest
import torch
import torch.nn.functional as F
from networks import Branches, Function
from torch import nn
from torch.nn.utils import prune

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
            return self.act(self.up(x)) + x.sort(2)[0].mean((2, 3), keepdim=True)

    text = refusal(nn.Sequential(Block(), nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Softmax(1)))
    lines = text.splitlines()[1:]
    assert [line.split(" ")[2] for line in lines] == ["0.up", "0.act", "0.sort", "3"]
    assert "transposed" in lines[0]
    assert "smooth" in lines[1]
    assert "an order by the input's values" in lines[2]
    assert "decoded result" in lines[3]


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
    "maximum of many bounds": (Function(lambda x: torch.maximum(x, torch.arange(8.0))), "F.relu(x - c)"),
    "padding with ones": (nn.ConstantPad2d(1, 1.0), "zeros"),
    "ceil mode with a divisor": (nn.AvgPool2d(3, 3, ceil_mode=True, divisor_override=4), "ceil_mode=False"),
    "dilated maximum": (nn.MaxPool2d(3, 1, dilation=2), "dilation=1"),
    "indices of a maximum": (nn.MaxPool2d(2, return_indices=True), "return_indices"),
    "maximum over channels": (Function(lambda x: x.amax(1)), "height and width"),
    "largest value": (Function(lambda x: x.max(1)[0]), "decoded result"),
    "linear over pixels": (nn.Linear(8, 2), "flatten"),
    "transpose": (Function(lambda x: x.transpose(1, 2)), "keep (batch, channels, height, width)"),
    "batch as features": (Function(lambda x: x.reshape(-1, 8)), BATCH),
    "mean over the batch": (Function(lambda x: x - x.mean(0, keepdim=True)), BATCH),
    "joined batches": (Function(lambda x: torch.cat([x, x])), BATCH),
    "half precision": (Function(lambda x: (2 * x.half()).float()), "float32"),
    "gate": (Function(lambda x: x * F.hardsigmoid(x.mean((2, 3), keepdim=True))), "product"),
    "einsum": (Function(lambda x: torch.einsum("bchw,bdhw->bcd", x, x)), "nn.Linear"),
    "instance norm": (nn.InstanceNorm2d(3), "nn.BatchNorm2d"),
    "rms norm": (nn.RMSNorm(8), "nn.BatchNorm2d"),
    "variance": (Function(lambda x: x.var((2, 3))), "nn.BatchNorm2d"),
    "celu": (nn.CELU(), "nn.ReLU"),
    "gated": (nn.GLU(-1), "nn.ReLU"),
    "log sigmoid": (nn.LogSigmoid(), "nn.ReLU"),
    "threshold": (nn.Threshold(0.1, 0), "nn.ReLU"),
    "pixel shuffle": (Function(lambda x: F.pixel_shuffle(x[:, :1].reshape(-1, 4, 4, 4), 2)), "keep ("),
    "transposed convolution": (nn.ConvTranspose2d(3, 3, 2), "zero-padded"),
    "attention": (Function(lambda x: F.scaled_dot_product_attention(x, x, x)), "convolutions"),
    "power": (Function(lambda x: x**3), "x * x"),
    "float power": (Function(lambda x: torch.float_power(x, 2)), "x * x"),
    "recurrent": (nn.Sequential(nn.Flatten(2), nn.LSTM(64, 4, batch_first=True)), "convolutions"),
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
    lines = refusal(
        Branches(branches, lambda results: sum((y[0] if isinstance(y, tuple) else y).sum() for y in results))
    ).splitlines()[1:]
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


@pytest.mark.parametrize("labels", ["abc", 3, [1, 2, 3]])
def test_labels_of_another_type(labels):
    assert "a list of texts" in refusal(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), labels=labels)


def test_labels_of_another_number():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    assert "3 labels for 10 outputs" in refusal(model, labels=["a", "b", "c"])


def calibration_refusal(x: object, model: nn.Module | None = None) -> str:
    with pytest.raises(CalibrationError) as error:
        convert(model or nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), x)
    return str(error.value)


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
    ("margin", "1.25"), ("bits", "6"), ("bits", 6.5), ("bits", 40), ("input_bits", 12.5),
    ("weight_bits", None),
])  # fmt: skip
def test_options_out_of_range(option, value):
    with pytest.raises(ParameterError, match=re.escape(str(value))):
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


def pruned() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    prune.l1_unstructured(model[1], "weight", 0.5)
    return model


def compiled() -> nn.Module:
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        return torch.jit.script(nn.ReLU())


def with_buffer(value: torch.Tensor) -> nn.Module:
    model = nn.Sequential(nn.Sequential(nn.Flatten()), nn.Linear(192, 3))
    model[0].register_buffer("table", value)
    return model


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


NO_MODELS = {
    "a function": (lambda: torch.relu, "a builtin_function_or_method: give an instance of torch.nn.Module"),
    "a class": (lambda: nn.ReLU, "a type: give an instance"),
    "nothing": (lambda: None, "a NoneType: give an instance"),
    "torch.jit": (compiled, "compiled by torch.jit: give the module"),
    "a lazy layer": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), "1.weight: it has no shape yet"),
    "the meta device": (lambda: nn.Conv2d(3, 3, 1, device="meta"), "weight: it is on the meta device"),
    "complex weights": (lambda: with_buffer(torch.zeros(1) + 1j), "0.table: complex numbers"),
    "sparse weights": (lambda: with_buffer(torch.eye(3).to_sparse()), "0.table: .* make it dense"),
    "pruned": (pruned, r"1\.weight: .*prune\.remove"),
    "a tuple": (lambda: Function(lambda x: (x + x,)), "returns tuple: return one tensor"),
    "a dictionary": (lambda: Function(lambda x: {"logits": x + x}), "returns dict: return one tensor"),
    "a list": (lambda: Function(lambda x: [x + x]), "returns list: return one tensor"),
    "nothing returned": (lambda: Function(lambda x: None), "returns NoneType"),
    "a constant": (lambda: Function(lambda x: torch.zeros(len(x), 3)), "computes from its input"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_MODELS)
def test_what_is_no_model_of_one_input_and_one_output(name):
    make, message = NO_MODELS[name]
    with pytest.raises(ConversionError, match=message):
        convert(make(), IMAGES)


@pytest.mark.parametrize("function", [
    lambda x: x * len(x), lambda x: F.relu(x).sum((2, 3)) / x.shape[0], lambda x: F.relu(x)[:, : x.size(0)],
])  # fmt: skip
def test_a_result_that_depends_on_the_number_of_images(function):
    assert "how many images are in its batch" in refusal(Function(function))


def test_two_inputs():
    assert "missing 1 required positional argument: 'y'" in calibration_refusal(IMAGES, TwoInputs())


NO_BATCH = {
    "a list": ([1.0], "is a list: give a tensor"),
    "an array": (IMAGES.numpy(), "is a ndarray: give a tensor"),
    "a pair": ((IMAGES, IMAGES), "is a tuple: give a tensor"),
    "a number": (torch.tensor(1.0), r"shape \(\): give a batch"),
    "one dimension": (torch.tensor([1.0, 2.0]), r"shape \(2,\): give a batch"),
    "no image": (torch.zeros(0, 3, 8, 8), r"shape \(0, 3, 8, 8\): give a batch"),
    "bytes": (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "holds torch.uint8: convert to float"),
    "truth values": (IMAGES > 0, "holds torch.bool: convert to float"),
    "complex": (IMAGES.to(torch.complex64), "holds torch.complex64: convert to float"),
    "NaN": (torch.full((2, 3, 8, 8), float("nan")), "NaN or infinity: remove"),
    "infinity": (torch.full((2, 3, 8, 8), float("inf")), "NaN or infinity: remove"),
    "one constant image": (torch.full((1, 3, 8, 8), 0.5), "no range: .* give typical inputs"),
    "other channels": (IMAGES[:, :1], "module '0' raises .*expected input.* to have 3 channels"),
    "one image alone": (IMAGES[0], r"shape \(3, 8, 8\): module '0' raises"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_BATCH)
def test_calibration_that_is_no_batch_of_typical_inputs(name):
    x, message = NO_BATCH[name]
    assert re.search(message, calibration_refusal(x)), calibration_refusal(x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_will_do(dtype):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    with torch.no_grad():
        expected = model(IMAGES)
    converted = convert(model.to(dtype).train(), IMAGES.to(dtype))
    assert (converted(IMAGES, stochastic=False) - expected).abs().max() < 0.03 * expected.max()
