"""The circuits of the ReLU protocols, with the number of AND gates of each, per block.

x_s is the sender's share and the garbler's input, x_c the receiver's and the evaluator's, l the bits of a
residue; x = x_s + x_c mod M. Every count below is asserted by the tests; tables take 32 bytes an AND.

    circuit                            prime, l = 31                             ring 2^32
    delphi_relu                        31 + 64 + 18 + (32−f) + 31 + 64 = 240−f   31 + (31−f) + 31 = 93−f
    exact_sign                         31 + 64 + 18 + 32               = 145     31 + 32          = 63
    stochastic_sign, k bits dropped    (31−k) + 31                     = 62−k    (32−k) + 32      = 64−k
    window_sign, n bits                −                                         n − 1

The prime's counts of `delphi_relu` and `exact_sign` are those of Delphi's own circuit, block by block: words
have l + 1 = 32 wires, since a sum of two residues does, the constants p and p/2 are garbled like any other
wires, and nothing is optimised across blocks (so 13 ANDs of the exact sign, the low bits of the reduced x,
feed no output).

    add the shares            31    carries into bits 1..31
    reduce mod p              64    add −p with its carry out, 32; select, 32
    compare with p/2          18    h = (p−1)/2 ends in 13 zeros and the last carry is not used: 32 − 13 − 1
    ReLU: x where x < h       32    less f: the rescale is a rewiring, its low f bits are not computed
    add −y_c                  31
    reduce mod p              64

In the ring the carries of an addition mod 2^32 are 31, there is nothing to reduce, and the sign is bit 31 of
the sum.

[MLSZP20] Mishra, Lehmkuhl, Srinivasan, Zheng, Popa. Delphi. USENIX Security 2020, eprint 2020/050.
[GJRG21] Ghodsi, Jha, Reagen, Garg. Circa: Stochastic ReLUs for Private Deep Learning. NeurIPS 2021.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..shares import Modulus
from .arithmetic import add, extend, garbled_constant, greater, mask, reduce_once, signed_below
from .circuit import ONE, ZERO, Builder, Circuit, Wire, Word
from .plain import to_bits

__all__ = ["delphi_relu", "exact_sign", "share_choices", "stochastic_sign", "window_sign"]

WORD = 32  # wires that hold a sum: of two residues of the prime, 31 bits each, or of the ring, where it wraps


@cache
def delphi_relu(modulus: Modulus, shift: int = 0) -> Circuit:
    """Delphi's whole ReLU: the bits of (ReLU(x) >> shift) − y_c mod M. [MLSZP20]

    Garbler: x_s, l bits. Evaluator: x_c, then −y_c mod M, l bits each. Outputs: l bits for the ring, l + 1
    for the prime (the top one is always 0). The residue h = (p−1)/2 itself counts as negative, as in Delphi's
    circuit.
    """
    if not 0 <= shift < modulus.bits - 1:
        raise ParameterError(f"a rescale by {shift} bits; the range is 0 to {modulus.bits - 2}")
    b = Builder()
    x_s, x_c, minus_y = b.garbler(modulus.bits), b.evaluator(modulus.bits), b.evaluator(modulus.bits)
    x, positive = _reconstruct(b, x_s, x_c, modulus)
    if modulus.is_ring:
        x = x[:-1]  # where x counts, bit 31 is 0
    relu = mask(b, positive, x[shift:])
    total = add(b, extend(relu, WORD), extend(minus_y, WORD))
    return b.finish(total if modulus.is_ring else _reduce(b, total, modulus))


@cache
def exact_sign(modulus: Modulus) -> Circuit:
    """Exact sign and share MUX: the bits of DReLU(x) − r mod M.

    Garbler: x_s, l bits; fixed, the words of `share_choices(r)`. Evaluator: x_c, l bits. Outputs: l bits for
    the ring, l + 1 for the prime (the top one is always 0, as in `delphi_relu`).
    """
    b = Builder()
    x_s, x_c = b.garbler(modulus.bits), b.evaluator(modulus.bits)
    _, positive = _reconstruct(b, x_s, x_c, modulus)
    padding = garbled_constant(b, 0, WORD - modulus.bits)
    return b.finish(_choose_share(b, positive, modulus, padding))


@cache
def stochastic_sign(modulus: Modulus, truncate_bits: int, mode: str) -> Circuit:
    """Circa's truncated stochastic sign and share MUX: the bits of sign~_k(x) − r mod M. [GJRG21]

    sign~_k(x) = [x_s >> k > t >> k] (poszero) or [x_s >> k >= t >> k] (negpass), where t = −x_c mod M; k = 0
    and poszero is the plain stochastic sign. Garbler: x_s >> k, l − k bits; fixed, the words of
    `share_choices(r)`. Evaluator: t >> k, l − k bits. Outputs: l bits.
    """
    if not 0 <= truncate_bits < modulus.bits:
        raise ParameterError(f"{truncate_bits} truncated bits; the range is 0 to {modulus.bits - 1}")
    if mode not in ("poszero", "negpass"):
        raise ParameterError(f"unknown fault mode {mode!r}; modes: poszero, negpass")
    b = Builder()
    width = modulus.bits - truncate_bits
    x_s, t = b.garbler(width), b.evaluator(width)
    positive = greater(b, x_s, t, ONE if mode == "negpass" else ZERO)
    return b.finish(_choose_share(b, positive, modulus, []))


@cache
def window_sign(bits: int) -> Circuit:
    """The window sign test: 1 iff bit n−1 of a + t mod 2^n is 0. Garbler: a, evaluator: t, n bits each; one
    output.

    Its permute bit is b_s, its colour v_c of design.md 5.2: v = v_c XOR b_s, and neither party needs to learn
    v.
    """
    if not 2 <= bits <= 32:
        raise ParameterError(f"a window has 2 to 32 bits, not {bits}")
    b = Builder()
    total = add(b, b.garbler(bits), b.evaluator(bits))
    return b.finish([b.inv(total[-1])])


def share_choices(r: NDArray[np.uint32], modulus: Modulus) -> NDArray[np.uint8]:
    """The fixed inputs of a share MUX for r of shape (..., n): the bits of −r, then of (−r) XOR (1−r); (...,
    2l, n)."""
    zero = modulus.neg(r)
    one = modulus.add(zero, np.ones_like(r))
    return np.concatenate([to_bits(zero, modulus.bits), to_bits(zero ^ one, modulus.bits)], axis=-2)


def _reconstruct(b: Builder, x_s: Word, x_c: Word, modulus: Modulus) -> tuple[Word, Wire]:
    """x on 32 wires, and its DReLU: 113 ANDs for the prime, 31 for the ring."""
    x = add(b, extend(x_s, WORD), extend(x_c, WORD))
    if modulus.is_ring:
        return x, b.inv(x[-1])
    x = _reduce(b, x, modulus)
    half = modulus.value // 2
    zeros = (half & -half).bit_length() - 1  # x < half iff x >> zeros < half >> zeros
    minus_half = garbled_constant(b, -(half >> zeros), len(x) - zeros)
    return x, signed_below(b, x[zeros:], minus_half)


def _reduce(b: Builder, x: Word, modulus: Modulus) -> Word:
    return reduce_once(b, x, garbled_constant(b, -modulus.value, len(x)))


def _choose_share(b: Builder, positive: Wire, modulus: Modulus, padding: Word) -> Word:
    """−r where the sign test gives 0, 1−r where it gives 1. 1 AND a bit."""
    zero, difference = b.fixed(modulus.bits), b.fixed(modulus.bits)
    return [
        b.xor(zero_i, b.and_(positive, difference_i))
        for zero_i, difference_i in zip(zero + padding, difference + padding, strict=True)
    ]
