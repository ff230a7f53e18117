"""The protocols by name: each is there, says its own name, and has a modulus."""

import pytest

from circa.protocols import relu
from circa.protocols.errors import ParameterError
from circa.protocols.shares import PRIME31, RING32
from circa.protocols.sign.window import Window


@pytest.mark.parametrize("name", relu.NAMES)
def test_every_name_has_its_protocol(name):
    protocol = relu.by_name(name)
    assert protocol.name == name
    modulus = relu.modulus_for(name)
    knots = ((), ()) if name == "rescale" else ((0,), (1,))
    act = relu.Activation(modulus, 2, 3, 8, Window(6), 12, "poszero", *knots)
    assert protocol.cost(act, 1).online.rounds == 1


def test_the_moduli():
    found = {name: relu.modulus_for(name) for name in relu.NAMES}
    published = {"delphi", "circa-sign", "circa-stochastic", "circa"}
    assert {name for name, modulus in found.items() if modulus == PRIME31} == published
    assert {name for name, modulus in found.items() if modulus == RING32} == set(relu.NAMES) - published


@pytest.mark.parametrize("function", [relu.by_name, relu.modulus_for])
def test_an_unknown_name_is_refused_with_the_known_ones(function):
    with pytest.raises(ParameterError, match=r"unknown ReLU protocol 'Circa'; protocols: table, .*circa,"):
        function("Circa")
