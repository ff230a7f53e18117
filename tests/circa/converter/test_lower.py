"""Every operation that converts, in its module and functional forms, against PyTorch."""

import pytest
import torch
import torch.nn.functional as F
from networks import Branches, Function, kinds, network, run, settle, traced
from torch import nn

from circa.converter.graph import Activate, Linear, Pad, Pool, Slice

IMAGE = (4, 6, 8)

OPERATIONS = {
    "conv2d": (nn.Conv2d(4, 6, 3), IMAGE),
    "conv2d, stride and padding": (nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(1, 2), bias=False), IMAGE),
    "conv2d, dilation": (nn.Conv2d(4, 6, 3, dilation=2, padding=2), IMAGE),
    "conv2d, groups": (nn.Conv2d(4, 8, 3, groups=2), IMAGE),
    "conv2d, depthwise": (nn.Conv2d(4, 4, 3, padding=1, groups=4), IMAGE),
    "conv2d, same": (nn.Conv2d(4, 6, (2, 4), padding="same"), IMAGE),
    "conv2d, valid": (nn.Conv2d(4, 6, 3, padding="valid"), IMAGE),
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1), (4, 9)),
    "linear": (nn.Linear(7, 5), (7,)),
    "linear, functional": (Function(lambda x, m: F.linear(x, m.fc.weight), fc=nn.Linear(7, 5)), (7,)),
    "matmul": (Function(lambda x, m: x @ m.fc.weight.T + m.fc.bias, fc=nn.Linear(7, 5)), (7,)),
    "conv and batch norm": (nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)), IMAGE),
    "batch norm alone": (nn.BatchNorm2d(4), IMAGE),
    "batch norm without affine": (nn.BatchNorm2d(4, affine=False), IMAGE),
    "batch norm of features": (nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5)), (7,)),
    "batch norm of rows": (nn.BatchNorm1d(4), (4, 9)),
    "relu": (nn.ReLU(), IMAGE),
    "relu in place": (nn.ReLU(inplace=True), IMAGE),
    "relu, functional": (Function(F.relu), IMAGE),
    "clamp": (Function(lambda x: x.clamp(min=0)), IMAGE),
    "relu6": (nn.ReLU6(), IMAGE),
    "relu6, functional": (Function(lambda x: F.relu6(3 * x)), IMAGE),
    "hardtanh": (nn.Hardtanh(), IMAGE),
    "hardtanh, bounds": (nn.Hardtanh(-0.25, 0.75), IMAGE),
    "clamp, bounds": (Function(lambda x: torch.clamp(x, 0.0, 0.5)), IMAGE),
    "clamp, above alone": (Function(lambda x: x.clamp(max=0.3)), IMAGE),
    "clamp of a relu": (Function(lambda x: torch.clamp_max(F.relu(x), 0.3)), IMAGE),
    "hard sigmoid": (nn.Hardsigmoid(), IMAGE),
    "leaky relu": (nn.LeakyReLU(0.2), IMAGE),
    "leaky relu, functional": (Function(lambda x: F.leaky_relu(x)), IMAGE),
    "leaky relu without a slope": (nn.LeakyReLU(0.0), IMAGE),
    "prelu": (nn.PReLU(), IMAGE),
    "prelu, a slope per channel": (Function(lambda x, m: m.p(x), p=nn.PReLU(4)), IMAGE),
    "average pooling": (nn.AvgPool2d(2), IMAGE),
    "average pooling, padding": (nn.AvgPool2d(3, 2, 1), IMAGE),
    "average pooling, divisor": (nn.AvgPool2d((2, 3), 1, divisor_override=5), IMAGE),
    "average pooling of rows": (nn.AvgPool1d(3, 2), (4, 9)),
    "adaptive average pooling": (nn.AdaptiveAvgPool2d((3, 2)), IMAGE),
    "global average pooling": (nn.AdaptiveAvgPool2d(1), IMAGE),
    "adaptive average pooling, windows of two sizes": (nn.AdaptiveAvgPool2d((4, 3)), IMAGE),
    "adaptive average pooling, more than there are": (nn.AdaptiveAvgPool2d((7, 16)), IMAGE),
    "adaptive average pooling of rows": (nn.AdaptiveAvgPool1d(4), (4, 9)),
    "average pooling, ceil mode": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), IMAGE),
    "average pooling, pixels alone": (nn.AvgPool2d(3, 1, 1, count_include_pad=False), IMAGE),
    "average pooling, pixels alone, ceil mode": (nn.AvgPool2d(3, 2, 1, True, count_include_pad=False), IMAGE),
    "average pooling of rows, ceil mode": (nn.AvgPool1d(2, ceil_mode=True), (4, 9)),
    "mean over channels": (Function(lambda x: x.mean(1)), IMAGE),
    "mean over everything": (Function(lambda x: x.mean((1, 2, 3), keepdim=True)), IMAGE),
    "mean over features": (Function(lambda x: x.mean(1, keepdim=True)), (7,)),
    "sum over channels and rows": (Function(lambda x: x.sum((1, 2))), IMAGE),
    "mean": (Function(lambda x: x.mean((2, 3))), IMAGE),
    "mean over columns": (Function(lambda x: x.mean(-1, keepdim=True)), IMAGE),
    "sum": (Function(lambda x: x.sum((2, 3))), IMAGE),
    "max pooling": (nn.MaxPool2d(2), IMAGE),
    "max pooling, overlapping": (nn.MaxPool2d(3, 2, 1), IMAGE),
    "max pooling, functional": (Function(lambda x: F.max_pool2d(F.relu(x), (2, 3), (1, 2))), IMAGE),
    "max pooling of rows": (nn.MaxPool1d(3), (4, 9)),
    "max pooling, ceil mode": (nn.MaxPool2d(3, (2, 3), ceil_mode=True), IMAGE),
    "max pooling, ceil mode and padding": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), IMAGE),
    "adaptive max pooling": (nn.AdaptiveMaxPool2d((4, 3)), IMAGE),
    "global max pooling": (nn.AdaptiveMaxPool2d(1), IMAGE),
    "largest pixel": (Function(lambda x: x.amax((2, 3))), IMAGE),
    "flatten": (nn.Flatten(), IMAGE),
    "view": (Function(lambda x: x.view(x.size(0), -1)), IMAGE),
    "reshape": (Function(lambda x: x.reshape(-1, 8, 6, 4)), IMAGE),
    "squeeze": (Function(lambda x: x.mean((2, 3), keepdim=True).squeeze(3).squeeze(2).unsqueeze(1)), IMAGE),
    "permute that moves nothing": (
        Function(lambda x: x.mean((2, 3), keepdim=True).permute(0, 2, 3, 1)),
        IMAGE,
    ),
    "slice": (Function(lambda x: x[:, :, ::2, ::2]), IMAGE),
    "slice, negative": (Function(lambda x: x[:, 1:-1, -5:, :3]), IMAGE),
    "select": (Function(lambda x: x[:, -1]), IMAGE),
    "zero pad": (nn.ZeroPad2d((1, 0, 2, 3)), IMAGE),
    "pad channels": (Function(lambda x: F.pad(x, (0, 0, 0, 0, 1, 2))), IMAGE),
    "reflection": (nn.ReflectionPad2d((1, 2, 0, 3)), IMAGE),
    "replication": (nn.ReplicationPad2d((1, 2, 0, 3)), IMAGE),
    "circular": (nn.CircularPad2d((1, 2, 0, 3)), IMAGE),
    "conv2d, reflection": (nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect"), IMAGE),
    "tensorflow's same": (Function(lambda x, m: m.c(F.pad(x, (0, 1, 0, 1))), c=nn.Conv2d(4, 2, 3, 2)), IMAGE),
    "crop": (Function(lambda x: F.pad(x, (-1, 2, 0, -2))), IMAGE),
    "cat": (Function(lambda x: torch.cat([x, -x, x[:, :1]], 1)), IMAGE),
    "cat with zeros": (Function(lambda x: torch.cat([x, torch.zeros_like(x)], 1)), IMAGE),
    "cat with zeros around": (
        Function(lambda x: torch.cat([x.new_zeros(len(x), 4, 1, 8), x, x, torch.zeros(len(x), 4, 2, 8)], 2)),
        IMAGE,
    ),
    "cat with nothing": (Function(lambda x: torch.cat([x, x.mul(0)], 1)), IMAGE),
    "chunk": (Function(lambda x: x.chunk(2, 1)[0] - x.chunk(2, 1)[1]), IMAGE),
    "split": (Function(lambda x: torch.cat(x.split([1, 3], 1)[::-1], 1)), IMAGE),
    "add": (Function(lambda x, m: m.a(x) + x, a=nn.Conv2d(4, 4, 1)), IMAGE),
    "add in place": (Function(lambda x, m: m.a(x).add_(x).relu_(), a=nn.Conv2d(4, 4, 1)), IMAGE),
    "add with alpha": (Function(lambda x: torch.add(x, F.relu(x), alpha=0.3)), IMAGE),
    "concat": (
        Function(lambda x: torch.concat([x, x[:, :1]], dim=1) + torch.concatenate([x[:, :1], x], 1)),
        IMAGE,
    ),
    "stack and unbind": (Function(lambda x: torch.stack([x, -x], 2).flatten(1, 2).unbind(1)[3]), IMAGE),
    "maximum": (Function(lambda x: torch.maximum(x, -2 * x) + torch.max(x[:, :1], x)), IMAGE),
    "minimum": (Function(lambda x: torch.minimum(x, 3 * x)), IMAGE),
    "maximum with a number": (Function(lambda x: torch.maximum(x, torch.tensor(0.25)).clip(max=1)), IMAGE),
    "number type of a weight": (Function(lambda x, m: x.type_as(m.c.weight), c=nn.Conv2d(1, 1, 1)), IMAGE),
    "add, broadcast": (Function(lambda x: x + x.mean((2, 3), keepdim=True)), IMAGE),
    "expand": (Function(lambda x: x[:, :1].expand_as(x) - x), IMAGE),
    "subtract": (Function(lambda x: F.relu(x) - x), IMAGE),
    "constants": (Function(lambda x: 1 - (2 * x + 0.5) / 3), IMAGE),
    "constant per channel": (Function(lambda x: x * torch.arange(1.0, 5.0).view(4, 1, 1)), IMAGE),
    "negate": (Function(lambda x: -x), IMAGE),
    "dropout": (nn.Sequential(nn.Dropout(), nn.Conv2d(4, 4, 1), nn.Dropout2d()), IMAGE),
    "identity": (nn.Sequential(nn.Identity(), nn.Conv2d(4, 4, 1)), IMAGE),
    "contiguous": (Function(lambda x: (x + x).contiguous().clone()), IMAGE),
}


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
@pytest.mark.parametrize("shape", [IMAGE, (4, 9), (7,)])
def test_the_network_computes_what_pytorch_does(shape):
    """One network with a branch for every operation, traced once."""
    branches = {name: settle(branch) for name, (branch, taken) in OPERATIONS.items() if taken == shape}
    model = Branches(branches, lambda results: torch.cat([y.flatten(1) for y in results], 1))
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = {name: branch.double()(x.double().clone()) for name, branch in model.branches.items()}
    found = run(network(model, x), x)
    start = 0
    for name, value in expected.items():
        size = value[0].numel()
        ours = found[:, start : start + size].reshape(value.shape)
        torch.testing.assert_close(
            ours, value, rtol=1e-6, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
        start += size
    assert start == found.shape[1]


def test_nodes_have_module_paths_or_the_function_s_name():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)
            self.relu = nn.ReLU()

        def forward(self, x):
            return F.relu(self.relu(self.conv(x)) + x) + self.relu(x)

    nodes = network(nn.Sequential(Block(), Block()), torch.randn(2, *IMAGE))
    names = [node.name for node in nodes]
    assert names[:7] == ["input", "0.conv", "0.relu", "0.add", "0.relu_2", "0.relu_3", "0.add_2"]
    assert len(set(names)) == len(names)


def test_a_change_to_float32_is_nothing():
    assert kinds(network(Function(lambda x: F.relu(x.float().to(torch.float32))), torch.randn(2, 3))) == [
        "Source",
        "Activate",
    ]


def test_a_shared_layer_is_used_twice():
    fc = nn.Linear(5, 5)
    x = torch.randn(3, 5)
    nodes = network(nn.Sequential(fc, nn.ReLU(), fc), x)
    assert [node.name for node in nodes if isinstance(node, Linear)] == ["0", "2"]


def test_relu6_is_one_activation_with_two_knots():
    (_, node) = network(nn.ReLU6(), torch.randn(2, 3))
    assert isinstance(node, Activate)
    assert (node.knots, node.coefs) == ((0.0, 6.0), (1, -1))


def test_same_padding_of_an_even_kernel_is_asymmetric():
    (_, node) = network(nn.Conv2d(4, 6, (2, 4), padding="same"), torch.randn(2, *IMAGE))
    assert isinstance(node, Linear)
    assert node.padding == (0, 1, 1, 2)


def test_the_shortcut_of_resnet_20_is_one_slice_and_one_pad():
    model = Function(lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))
    _, cut, pad = network(model, torch.randn(2, *IMAGE))
    assert isinstance(cut, Slice)
    assert (cut.start, cut.step) == ((0, 0, 0), (1, 2, 2))
    assert isinstance(pad, Pad)
    assert pad.padding == (2, 2, 0, 0, 0, 0)


def test_an_average_is_a_sum_and_a_power_of_two():
    output = traced(nn.AvgPool2d(2), torch.randn(2, *IMAGE))
    assert isinstance(output.inputs[0], Pool)
    assert output.factor == 0.25


def test_a_pool_of_one_pixel_is_nothing():
    assert kinds(network(Function(lambda x: F.avg_pool2d(F.relu(x), 1)), torch.randn(2, *IMAGE))) == [
        "Source",
        "Activate",
    ]
