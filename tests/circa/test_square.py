"""Quadratic activations: private equals simulated equals estimated; what is refused."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from estimates import check_estimate
from programs import Builder, geometry, weights

import circa
from circa.description import from_json, to_json
from circa.device import DeviceProgram
from circa.errors import ParameterError
from circa.estimate import estimate
from circa.masked import protocol
from circa.masks import Mask
from circa.model import ConvertedModel
from circa.program import Activate, Add, Linear, Program, Reshape, Scale
from circa.protocols.shares import PRIME31, RING32, Modulus
from circa.simulate import exact

SHAPE = (4, 6, 6)
LINEAR: dict[str, Any] = {"window": None, "knots": (), "coefs": ()}


def quadratic(modulus: Modulus) -> Program:
    """conv, x^2 + 2 x at 8 fractional bits, rescaled; fully connected."""
    b = Builder(SHAPE, 8)
    conv = geometry(SHAPE, 4, 3, padding=(1, 1, 1, 1))
    x = b.add(Linear, "conv", 0, geometry=conv, weight_bits=4)
    x = b.add(Activate, "rescale", x, shift=4, **LINEAR)
    square = b.add(Activate, "square", x, shift=0, square=True, **LINEAR)
    twice = b.add(Scale, "twice", x, factor=2, frac_bits=8)
    both = b.add(Add, "sum", square, twice, factors=(1, 256))
    x = b.add(Activate, "back", both, shift=8, **LINEAR)
    x = b.add(Reshape, "flatten", x, shape=(144,))
    b.add(Linear, "fc", x, geometry=geometry((144, 1, 1), 3), weight_bits=7)
    return b.program(modulus, relu="table" if modulus.is_ring else "circa")


@pytest.mark.parametrize("modulus", [RING32, PRIME31])
def test_private_inference_is_the_simulation_and_costs_the_estimate(modulus: Modulus) -> None:
    program = quadratic(modulus)
    assert from_json(to_json(program)) == program
    model = ConvertedModel(program, weights(program, bound=6))
    x = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    with circa.Server(model, port=0) as server, circa.connect(server.address, keep_shares=True) as session:
        private = session.infer(x)
        shares, report = session.last_shares, session.report
    assert torch.equal(private, model(x, client_shares=shares))
    assert (private - model(x, stochastic=False)).abs().max() < 0.1
    check_estimate(report, estimate(program, 2))
    assert program.relus == 0


@pytest.mark.parametrize("modulus", [RING32, PRIME31])
def test_values_in_every_interpreter(modulus: Modulus) -> None:
    b = Builder(SHAPE, 8)
    b.add(Activate, "square", 0, shift=0, square=True, **LINEAR)
    program = b.program(modulus, relu="table" if modulus.is_ring else "circa")
    assert program.output.frac_bits == 16
    z = np.random.default_rng(1).integers(-(1 << 15) + 1, 1 << 15, (2, *SHAPE))
    x = modulus.encode(z)
    assert (modulus.decode(exact(program, {}, x)) == z * z).all()
    device = DeviceProgram(program, {}, torch.device("cpu"))
    for stochastic in (False, True):
        y = device.run(torch.from_numpy(x.astype(np.int64)), None, stochastic)
        assert (y.numpy() == modulus.encode(z * z)).all()


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"shift": 8}, "no sign test and no shift"),
        ({"knots": (0,), "coefs": (1,)}, "no sign test and no shift"),
        ({"mask": Mask.of(np.zeros(SHAPE, np.bool_))}, "a square takes no mask"),
    ],
)
def test_a_square_is_nothing_else(fields: dict[str, Any], match: str) -> None:
    program = quadratic(RING32)
    op = dataclasses.replace(program.activations[1], **fields)
    act = op.activation(program.modulus)
    with pytest.raises(ParameterError, match=match):
        protocol(program, op).cost(act, 1)
