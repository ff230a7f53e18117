"""Products of shared values from Beaver triples, and the triples from COTs: no dealer. Semi-honest.

[Beaver91] Beaver. Efficient Multiparty Protocols Using Circuit Randomization. CRYPTO 1991.
[Gilboa99] Gilboa. Two Party RSA Key Generation. CRYPTO 1999, section 4.1: the cross terms.

A triple is a = a_0 + a_1, b = b_0 + b_1 uniform and c = a·b, all shared mod M.

 triples    P0: a_0, b_0 uniform                    P1: a_1, b_1 uniform
 (0)        the bits of a_0 as COT choices    →
 (1)                                          ←     the bits of a_1; corrections for b_1·2^i
 (2)        corrections for b_0·2^i           →
 output     c_p = a_p·b_p + shares of a_0·b_1 and a_1·b_0, each sum_i (bit i of a)·(b·2^i)

            rounds                          bytes each way
 triples    1 for each 2^15                 l COTs and l·l bits a triple: l ⌈128/k⌉/8 + l²/8
 multiply   1                               2 l bits an element
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .channel import Channel
from .errors import ParameterError
from .ot.cots import OtPair
from .ot.products import product_bytes, recv_products, send_products
from .prg import Prg
from .shares import Modulus, reveal
from .steps import Steps

__all__ = ["BeaverTriple", "Party", "make_triples", "multiply", "triple_correction_bytes", "triple_rounds"]

Party = Literal[0, 1]
Residues = NDArray[np.uint32]

_CHUNK = 1 << 15  # triples at a time: a million COTs


def triple_rounds(count: int) -> int:
    return -(-count // _CHUNK)


def triple_correction_bytes(count: int, modulus: Modulus) -> int:
    """Bytes each way for the corrections; beside them modulus.bits COTs a triple in each direction."""
    full, rest = divmod(count, _CHUNK)
    sizes = [_CHUNK] * full + [rest]
    return sum(product_bytes(modulus.bits * size, modulus) for size in sizes)


@dataclass
class BeaverTriple:
    """One party's shares of triples: three arrays of one shape. A triple masks one product, then is gone."""

    modulus: Modulus
    a: Residues
    b: Residues
    c: Residues
    _spent: bool = field(default=False, repr=False)

    def take(self, count: int) -> "BeaverTriple":
        """Split off the first `count` along the first axis. Raises ParameterError when fewer are left."""
        if not 0 <= count <= len(self.a):
            raise ParameterError(f"{count} triples asked for, {len(self.a)} left")
        if self._spent:
            raise ParameterError("these Beaver triples have been used")
        taken = BeaverTriple(self.modulus, self.a[:count], self.b[:count], self.c[:count])
        self.a, self.b, self.c = self.a[count:], self.b[count:], self.c[count:]
        return taken

    def spend(self) -> tuple[Residues, Residues, Residues]:
        """(a, b, c), once. Raises ParameterError the second time: a mask used twice shows a difference."""
        if self._spent:
            raise ParameterError("these Beaver triples have been used")
        self._spent = True
        return self.a, self.b, self.c


def make_triples(
    ch: Channel, ot: OtPair, party: Party, modulus: Modulus, shape: tuple[int, ...], prg: Prg
) -> Steps[BeaverTriple]:
    """One party's shares of fresh triples of this shape; P0 is the sender of the steps."""
    a, b = modulus.uniform(prg, shape), modulus.uniform(prg, shape)
    c = modulus.mul(a, b)
    flat_a, flat_b, flat_c = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    for start in range(0, flat_a.size, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        cross = yield from _cross_terms(ch, ot, party, modulus, flat_a[chunk], flat_b[chunk])
        flat_c[chunk] = modulus.add(flat_c[chunk], cross)
    return BeaverTriple(modulus, a, b, c)


def multiply(ch: Channel, party: Party, x: Residues, y: Residues, triple: BeaverTriple) -> Residues:
    """[x·y], elementwise.

    open    ε = x − a,   δ = y − b
    output  [z] = [c] + ε·[b] + δ·[a] + ε·δ      (the public ε·δ is added by P0 alone)
    """
    if not x.shape == y.shape == triple.a.shape:
        raise ParameterError(f"factors of shapes {x.shape} and {y.shape}, triples of shape {triple.a.shape}")
    m = triple.modulus
    a, b, c = triple.spend()
    eps, dlt = reveal(ch, np.stack([m.sub(x, a), m.sub(y, b)]), m)
    z = m.add(c, m.add(m.mul(eps, b), m.mul(dlt, a)))
    return m.add(z, m.mul(eps, dlt)) if party == 0 else z


def _cross_terms(
    ch: Channel, ot: OtPair, party: Party, modulus: Modulus, a: Residues, b: Residues
) -> Steps[Residues]:
    """This party's shares of a_0·b_1 + a_1·b_0."""
    bit = np.arange(modulus.bits, dtype=np.uint32)[:, None]
    choices = (a >> bit & 1).astype(np.uint8).reshape(-1)
    scaled = modulus.mul(b, np.uint32(1) << bit)
    if party == 0:
        received = ot.receiver.extend(choices)  # (0)
        yield
        sent = ot.sender.extend(choices.size)  # (1)
        theirs = recv_products(ch, received, modulus)
        yield
        mine = send_products(ch, sent, scaled, modulus)  # (2)
    else:
        sent = ot.sender.extend(choices.size)  # (0)
        yield
        received = ot.receiver.extend(choices)  # (1)
        mine = send_products(ch, sent, scaled, modulus)
        yield
        theirs = recv_products(ch, received, modulus)  # (2)
    theirs = theirs.reshape(mine.shape)
    return modulus.add(_sum(mine, modulus), _sum(theirs, modulus))


def _sum(terms: Residues, modulus: Modulus) -> Residues:
    # at most 32 residues: the 64-bit sum does not wrap
    total: NDArray[np.uint64] = terms.sum(axis=0, dtype=np.uint64) % np.uint64(modulus.value)
    return total.astype(np.uint32)
