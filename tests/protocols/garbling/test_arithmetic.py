import numpy as np
import pytest

from circa.protocols.errors import ParameterError
from circa.protocols.garbling.arithmetic import (
    add,
    add_with_carry,
    constant,
    extend,
    garbled_constant,
    greater,
    mask,
    reduce_once,
    select,
    signed_below,
)
from circa.protocols.garbling.circuit import ONE, ZERO, Builder
from circa.protocols.garbling.plain import evaluate_plain, from_bits, to_bits

WIDTH = 4
GRID = [grid.reshape(-1).astype(np.uint32) for grid in np.meshgrid(np.arange(16), np.arange(16))]


def run(function, ands):
    """A circuit of x (garbler) and y (evaluator) on all pairs of 4-bit values; returns x, y and the
    output."""
    b = Builder()
    outputs = function(b, b.garbler(WIDTH), b.evaluator(WIDTH))
    circuit = b.finish(outputs if isinstance(outputs, list) else [outputs])
    assert circuit.ands == ands
    x, y = GRID
    bits = evaluate_plain(circuit, to_bits(x, WIDTH), np.zeros((0, x.size), np.uint8), to_bits(y, WIDTH))
    return x.astype(int), y.astype(int), from_bits(bits).astype(int)


def test_add():
    x, y, total = run(add, 3)
    assert (total == (x + y) % 16).all()


def test_add_with_carry():
    def word(b, x, y):
        total, carry = add_with_carry(b, x, y)
        return [*total, carry]

    x, y, total = run(word, 4)
    assert (total == x + y).all()


def test_add_extended():
    x, y, total = run(lambda b, x, y: add(b, extend(x, 5), extend(y, 5)), 4)
    assert (total == x + y).all()


@pytest.mark.parametrize("or_equal", [ZERO, ONE])
def test_greater(or_equal):
    x, y, bit = run(lambda b, x, y: greater(b, x, y, or_equal), 4)
    assert (bit == (x >= y if or_equal else x > y)).all()


def test_select():
    x, y, out = run(lambda b, x, y: select(b, y[0], x, y), 4)
    assert (out == np.where(y & 1, y, x)).all()


def test_mask():
    x, y, out = run(lambda b, x, y: mask(b, y[0], x), 4)
    assert (out == (y & 1) * x).all()


@pytest.mark.parametrize(("make", "ands"), [(constant, 3 + 3 + 3), (None, 3 + 4 + 4)])
def test_reduce_once(make, ands):
    """(x mod 8 + y mod 8) mod 11 for the pairs with a sum below 22; a folded constant saves two ANDs."""

    def word(b, x, y):
        minus_p = constant(-11, 4) if make else garbled_constant(b, -11, 4)
        return reduce_once(b, add(b, extend(x[:3], 4), extend(y[:3], 4)), minus_p)

    x, y, out = run(word, ands)
    assert (out == (x % 8 + y % 8) % 11).all()


@pytest.mark.parametrize("bound", range(1, 8))
def test_signed_below(bound):
    x, _, bit = run(lambda b, x, y: signed_below(b, extend(x[:3], 4), garbled_constant(b, -bound, 4)), 3)
    assert (bit == (x % 8 < bound)).all()


def test_words_of_different_width_are_refused():
    b = Builder()
    x, y = b.garbler(3), b.evaluator(2)
    for block in (add, add_with_carry, greater, reduce_once):
        with pytest.raises(ParameterError, match="words of"):
            block(b, x, y)
