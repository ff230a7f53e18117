"""Online round trips: a rescale goes with the sign tests of the same operand."""

from typing import Any

import numpy as np
import pytest
import torch
from estimates import check_estimate
from programs import Builder, weights

import circa
from circa import ConvertedModel
from circa.estimate import estimate
from circa.masks import Mask
from circa.program import Activate, Add, Program, Scale
from circa.protocols.relu import WINDOWED, modulus_for
from circa.protocols.sign.window import Window

SHAPE = (2, 3, 3)
NONE: dict[str, Any] = {"window": None, "knots": (), "coefs": ()}


def halves(relu: str = "table", **fields: Any) -> Program:
    """LeakyReLU's two activations of one operand, then their sum, and one more rescale of the input."""
    modulus = modulus_for(relu)
    window = Window(6, (9, 8)) if relu in WINDOWED else None
    b = Builder(SHAPE, 12)
    positive = b.add(Activate, "positive", 0, shift=5, window=window, **fields)
    linear = b.add(Activate, "linear", 0, shift=5, **NONE)
    total = b.add(Add, "sum", positive, linear, factors=(1, -1))
    again = b.add(Activate, "again", total, shift=2, **NONE)
    b.add(Scale, "out", again, factor=-1)
    return b.program(modulus, relu=relu)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"mask": Mask.of(np.arange(18).reshape(SHAPE) % 3 == 0)},
        {"mask": Mask.of(np.arange(18).reshape(SHAPE) % 3 == 0, "zero")},
        {"mask": Mask.of(np.zeros(SHAPE, np.bool_), "zero")},
    ],
    ids=["all", "others shifted", "others zero", "none kept"],
)
@pytest.mark.parametrize("relu", ["table", "window-garbled", "delphi", "circa"])
def test_both_halves_take_one_round_trip(relu: str, fields: dict[str, Any]) -> None:
    program = halves(relu, **fields)
    model = ConvertedModel(program, weights(program))
    x = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    with circa.Server(model, port=0) as server, circa.connect(server.address, keep_shares=True) as session:
        private = session.infer(x)
        shares, report = session.last_shares, session.report
    assert torch.equal(private, model(x, client_shares=shares))
    if relu == "table":
        assert report.total("online").rounds == 1 + 1 + 1  # and `again`, and the output
    check_estimate(report, estimate(program, 2))


def test_what_goes_together() -> None:
    program = halves()
    assert [(op.name, other and other.name) for op, other in program.turns] == [
        ("positive", "linear"),
        ("again", None),
    ]
    b = Builder(SHAPE, 12)
    b.add(Activate, "first", 0, shift=3, **NONE)  # before the sign tests: by itself
    b.add(Activate, "relu", 0, shift=5, window=Window(6, (9, 8)))
    b.add(Activate, "second", 0, shift=5, **NONE)
    b.add(Activate, "third", 0, shift=6, **NONE)  # one is enough
    b.add(Activate, "square", 0, shift=0, square=True, **NONE)
    names = [(op.name, other and other.name) for op, other in b.program().turns]
    assert names == [("first", None), ("relu", "second"), ("third", None), ("square", None)]
