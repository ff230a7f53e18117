"""Words of wires, low bit first: the blocks from which the circuits are made, each with its count of AND
gates.

Every block rests on one gate: the carry of x + y + c is the majority, which takes one AND,

    c' = c ^ ((x ^ c) & (y ^ c)).

A constant operand is a word of the constants ZERO and ONE, which the builder folds. Delphi's circuits instead
garble their constants; `garbled_constant` makes such a word.
"""

from ..errors import ParameterError
from .circuit import ONE, ZERO, Builder, Wire, Word

__all__ = [
    "add",
    "add_with_carry",
    "carry",
    "constant",
    "extend",
    "garbled_constant",
    "greater",
    "mask",
    "reduce_once",
    "select",
    "signed_below",
]


def constant(value: int, width: int) -> Word:
    """A folded constant; negative values in two's complement."""
    return [ONE if value >> i & 1 else ZERO for i in range(width)]


def garbled_constant(b: Builder, value: int, width: int) -> Word:
    """A constant as ordinary wires: no gate on them is folded."""
    return [b.wire(value >> i & 1) for i in range(width)]


def extend(x: Word, width: int) -> Word:
    """x with zeros above."""
    return x + [ZERO] * (width - len(x))


def carry(b: Builder, x: Wire, y: Wire, c: Wire) -> Wire:
    """The majority of three wires: 1 AND."""
    return b.xor(c, b.and_(b.xor(x, c), b.xor(y, c)))


def add(b: Builder, x: Word, y: Word) -> Word:
    """x + y mod 2^width. 1 AND a bit but the last."""
    _same_width(x, y)
    low, c = add_with_carry(b, x[:-1], y[:-1])
    return [*low, b.xor(b.xor(x[-1], y[-1]), c)]


def add_with_carry(b: Builder, x: Word, y: Word) -> tuple[Word, Wire]:
    """x + y: the sum's word and the carry out. 1 AND a bit."""
    _same_width(x, y)
    total, c = [], ZERO
    for x_i, y_i in zip(x, y, strict=True):
        total.append(b.xor(b.xor(x_i, y_i), c))
        c = carry(b, x_i, y_i, c)
    return total, c


def greater(b: Builder, x: Word, y: Word, or_equal: Wire = ZERO) -> Wire:
    """[x > y], or [x >= y] with or_equal = ONE: the carry out of x + ~y + or_equal. 1 AND a bit."""
    _same_width(x, y)
    c = or_equal
    for x_i, y_i in zip(x, y, strict=True):
        c = carry(b, x_i, b.inv(y_i), c)
    return c


def select(b: Builder, bit: Wire, x: Word, y: Word) -> Word:
    """y where bit is 1, else x. 1 AND a bit of the word."""
    _same_width(x, y)
    return [b.xor(x_i, b.and_(bit, b.xor(x_i, y_i))) for x_i, y_i in zip(x, y, strict=True)]


def mask(b: Builder, bit: Wire, x: Word) -> Word:
    """bit times x. 1 AND a bit of the word."""
    return [b.and_(bit, x_i) for x_i in x]


def reduce_once(b: Builder, x: Word, minus_p: Word) -> Word:
    """x mod p for x < 2p: add -p in two's complement and keep the sum where it carries. 2 ANDs a bit."""
    difference, not_below = add_with_carry(b, x, minus_p)
    return select(b, not_below, x, difference)


def signed_below(b: Builder, x: Word, minus_bound: Word) -> Wire:
    """[x < bound] for x and bound below half the word: the top bit of x - bound. 1 AND a bit but the last."""
    return add(b, x, minus_bound)[-1]


def _same_width(x: Word, y: Word) -> None:
    if len(x) != len(y):
        raise ParameterError(f"words of {len(x)} and {len(y)} wires")
