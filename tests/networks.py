"""Small networks and shortcuts for the converter's tests."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from circa.converter.capture import capture, inference_copy
from circa.converter.evaluate import evaluate
from circa.converter.fold import fold
from circa.converter.graph import Node, topological
from circa.converter.lower import lower
from circa.converter.masking import merge_masks
from circa.converter.maximum import expand_maxima


class Function(nn.Module):
    """A function as a network; `modules` are reachable as attributes of its second argument."""

    def __init__(self, function, **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self) if len(self._modules) else self.function(x)


class Branches(nn.Module):
    """Every branch on the same input; `join` makes one tensor of the list of results."""

    def __init__(self, branches: dict[str, nn.Module], join: Callable[[list[Tensor]], Tensor]) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        return self.join([branch(x.clone()) for branch in self.branches.values()])


def traced(model: nn.Module, x: Tensor) -> Node:
    return lower(capture(inference_copy(model), x))


def network(model: nn.Module, x: Tensor) -> list[Node]:
    return topological(expand_maxima(fold(merge_masks(traced(model, x)))))


def run(nodes: list[Node], x: Tensor) -> Tensor:
    """The value in float64; every value has the shape that its node declares."""

    def check(node: Node, value: Tensor) -> None:
        assert tuple(value.shape[1:]) == node.shape, node.name

    with torch.no_grad():
        return evaluate(nodes, x.double(), check)


def kinds(nodes: list[Node]) -> list[str]:
    return [type(node).__name__ for node in nodes]


def settle(model: nn.Module) -> nn.Module:
    """Batch normalisations with statistics that differ from channel to channel, as training leaves them."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            n = module.num_features
            module.running_mean = torch.randn(n, generator=generator) * 0.3
            module.running_var = torch.rand(n, generator=generator) + 0.3
            if module.affine:
                module.weight.data = torch.randn(n, generator=generator)
                module.bias.data = torch.randn(n, generator=generator) * 0.3
    return model.eval()
