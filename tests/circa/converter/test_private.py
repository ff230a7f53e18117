"""What the converter builds runs privately, bit for bit as the simulation says, at the cost that the estimate
names: networks of many families, and every kind of operation in one.
"""

import pytest
import torch
from estimates import check_estimate
from networks import settle
from zoo import FAMILIES, Everything

import circa
from circa.estimate import estimate
from circa.program import Operation, Reshape
from circa.protocols.relu import NAMES


def images(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(24, *shape, generator=torch.Generator().manual_seed(0))


def check_private(converted: circa.ConvertedModel, x: torch.Tensor) -> torch.Tensor:
    """The private result, after checking it and its cost."""
    with circa.Server(converted, port=0) as server, circa.connect(server.address, keep_shares=True) as client:
        client.prepare(len(x))
        private = client.infer(x)
        assert torch.equal(private, converted(x, client_shares=client.last_shares))
        check_estimate(client.report, estimate(converted.program, len(x), client.ot_k))
    return private


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_of_networks(name):
    make, shape = FAMILIES[name]
    torch.manual_seed(3)
    model, x = make().eval(), images(shape)
    with torch.no_grad():
        model(x[:1])
        expected = settle(model)(x)
    private = check_private(circa.convert(model, x, bits=8), x[:1])
    assert (private - expected[:1]).abs().max() < 0.5 * expected.std()


@pytest.fixture(scope="module")
def everything():
    torch.manual_seed(3)
    return settle(Everything())


@pytest.mark.parametrize("relu", [name for name in NAMES if name != "rescale"])
def test_every_kind_of_operation_with_every_protocol(everything, relu):
    x = images((3, 8, 8))
    converted = circa.convert(everything, x, relu=relu)
    kinds = {type(op) for op in converted.program.operations}
    assert kinds == set(Operation.__subclasses__()) - {Reshape}
    activations = converted.program.activations
    assert {len(op.knots) for op in activations} == {0, 1, 2}
    assert {op.mask.others for op in activations if op.mask} == {"zero", "identity"}
    assert any(op.square for op in activations)
    assert {op.geometry.groups for op in converted.program.linear} >= {1, 2, 6}
    with torch.no_grad():
        expected = everything(x)
    assert (check_private(converted, x[:2]) - expected[:2]).abs().max() < 0.5 * expected.std()
