import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.random_circuits import random_circuit, run_recipe

from circa.protocols.errors import ParameterError
from circa.protocols.garbling.circuit import ONE, ZERO, Builder, Op
from circa.protocols.garbling.plain import evaluate_plain, from_bits, to_bits


@given(st.integers(0, 1 << 30), st.integers(0, 60))
def test_plain_evaluator_equals_the_recipe(seed, gates):
    circuit, recipe = random_circuit(seed, gates, (2, 1, 2))
    rows = np.array(list(itertools.product((0, 1), repeat=5)), np.uint8).T
    outputs = evaluate_plain(circuit, rows[:2], rows[2:3], rows[3:])
    for instance in range(rows.shape[1]):
        assert outputs[:, instance].tolist() == run_recipe(recipe, rows[:, instance].tolist())


def test_constants_and_equal_operands_cost_nothing():
    b = Builder()
    x, y = b.garbler(2)
    for wire in (ZERO, ONE, x, b.inv(x)):
        assert b.and_(x, wire) in (ZERO, x)
        assert b.xor(x, wire) in (ZERO, ONE, x, b.inv(x))
    assert b.and_(x, y) == b.and_(y, x)
    assert b.xor(b.inv(x), y) == b.inv(b.xor(y, x))
    assert b.inv(b.inv(x)) == x
    circuit = b.finish([b.and_(x, y)])
    assert circuit.ands == 1
    assert np.count_nonzero(circuit.op == Op.INV) == 0


def test_a_constant_wire_is_not_folded():
    b = Builder()
    (x,) = b.garbler(1)
    circuit = b.finish([b.and_(x, b.wire(1)), b.and_(x, b.wire(0))])
    assert circuit.ands == 2
    bits = np.array([[0, 1]], np.uint8)
    assert evaluate_plain(circuit, bits, bits[:0], bits[:0]).tolist() == [[0, 1], [0, 0]]


def test_an_inversion_becomes_one_gate_for_all_its_readers():
    b = Builder()
    x, y, z = b.garbler(3)
    circuit = b.finish([b.and_(b.inv(x), y), b.and_(b.inv(x), z), b.inv(x)])
    assert np.count_nonzero(circuit.op == Op.INV) == 1


def test_slots_are_used_again():
    """A chain of a thousand gates that keeps two wires alive."""
    b = Builder()
    x, y = b.garbler(2)
    for i in range(1000):
        x, y = (b.xor(y, x), x) if i % 3 else (b.and_(x, y), x)
    circuit = b.finish([x])
    assert (circuit.op.size, circuit.slots) == (1000, 2)


def test_a_gate_without_readers_stays_and_holds_no_slot():
    b = Builder()
    inputs = b.garbler(20)
    for x in inputs[1:]:
        b.and_(inputs[0], x)
    circuit = b.finish(inputs)
    assert (circuit.ands, circuit.slots) == (19, 21)


def test_an_output_may_be_given_twice_and_may_be_an_input():
    b = Builder()
    x, y = b.garbler(2)
    circuit = b.finish([x, b.and_(x, y), x, ONE])
    bits = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    assert evaluate_plain(circuit, bits, bits[:0], bits[:0]).tolist() == [
        [0, 1, 1],
        [0, 0, 1],
        [0, 1, 1],
        [1, 1, 1],
    ]


def test_circuits_are_frozen():
    b = Builder()
    circuit = b.finish([b.and_(*b.garbler(2))])
    with pytest.raises(ValueError, match="read-only"):
        circuit.op[0] = Op.XOR


def test_a_foreign_wire_is_refused():
    b = Builder()
    x, _ = b.garbler(2)
    other = Builder().garbler(9)
    with pytest.raises(ParameterError, match="not one of the 3 wires"):
        b.finish([x, other[8]])


@pytest.mark.parametrize(
    "shapes", [((1, 4), (1, 4), (1, 4)), ((2, 4), (1, 4), (1, 3)), ((2, 4), (2, 4), (1, 4))]
)
def test_plain_inputs_of_another_shape_are_refused(shapes):
    b = Builder()
    circuit = b.finish(b.garbler(2) + b.fixed(1) + b.evaluator(1))
    with pytest.raises(ParameterError, match="expected bits of shape"):
        evaluate_plain(circuit, *(np.zeros(shape, np.uint8) for shape in shapes))


def test_bits_of_values():
    values = np.array([[5, 1], [2, 7]], np.uint32)
    assert to_bits(values, 3).tolist() == [[[1, 1], [0, 0], [1, 0]], [[0, 1], [1, 1], [0, 1]]]
    assert from_bits(to_bits(values, 3)).tolist() == values.tolist()
    top = np.array([(1 << 64) - 2], np.uint64)
    assert from_bits(to_bits(top, 64)).tolist() == top.tolist()
