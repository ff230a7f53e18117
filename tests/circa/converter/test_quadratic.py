"""Quadratic activations: squares, and polynomials of the second degree in all their forms."""

from typing import Any

import pytest
import torch
from networks import Function, kinds, network, run
from torch import Tensor, nn

import circa
from circa.errors import ConversionError

FORMS: dict[str, Any] = {
    "x * x": lambda x, m: x * x,
    "x ** 2": lambda x, m: x**2,
    "torch.square": lambda x, m: torch.square(x),
    "torch.pow": lambda x, m: torch.pow(x, 2),
    "a x^2 + b x + c": lambda x, m: 0.25 * x * x + 0.5 * x + 0.1,
    "a x^2 + b x + c, by channel": lambda x, m: m.a * x**2 + m.b * x + m.b,
    "(a x + b) x + c": lambda x, m: x * (m.a * x + m.b) + 0.5,
    "(a x + b) (b x + a)": lambda x, m: (m.a * x + m.b) * (m.b * x + m.a),
    "(x + b)^2": lambda x, m: 0.1 * (x + m.b).pow(2),
    "(a x) x + b x": lambda x, m: (m.a * x) * x + m.b * x,
}


class Quadratic(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.form = FORMS[form]
        self.a = nn.Parameter(torch.rand(4, 1, 1) / 2)
        self.b = nn.Parameter(torch.randn(4, 1, 1))
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.form(self.second(self.form(self.conv(x), self)), self)
        logits: Tensor = self.head(x.flatten(1))
        return logits


def images(count: int) -> Tensor:
    return torch.randn(count, 2, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("form", FORMS)
def test_converted(form: str) -> None:
    model, x = Quadratic(form).eval(), images(64)
    nodes = network(model, x)
    assert kinds(nodes).count("Square") == 2
    torch.testing.assert_close(run(nodes, x).float(), model(x), rtol=1e-4, atol=1e-4)
    converted = circa.convert(model, x)
    assert converted.program.relus == 0
    assert sum(op.square for op in converted.program.activations) == 2
    with torch.no_grad():
        want = model(x)
    assert (converted(x) - want).abs().max() < 0.04 * want.abs().max()


def test_private_inference_is_the_simulation() -> None:
    converted = circa.convert(Quadratic("a x^2 + b x + c").eval(), images(64))
    with (
        circa.Server(converted, port=0) as server,
        circa.connect(server.address, keep_shares=True) as session,
    ):
        private = session.infer(images(2))
        assert torch.equal(private, converted(images(2), client_shares=session.last_shares))


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda x: x**3, "the power 3; use x"),
        (lambda x: x**0.5, "the power 0.5; use x"),
        (lambda x: x * torch.relu(x), "a product of two values that depend on the input"),
    ],
)
def test_other_products_are_refused(function: Any, match: str) -> None:
    with pytest.raises(ConversionError, match=match):
        circa.convert(Function(function), images(8))
