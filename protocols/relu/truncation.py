"""Exact truncation on shares: floor(z / 2^f) up to one unit, whatever the shares (design.md 5.3).

Let Q = floor(M / 2^f), o = M/4 rounded down to a multiple of 2^f, n_s = [z_s < M/2], n_c = [z_c + o < M/2].
For -o <= z < M/2 - o, that is z + o in [0, M/2), the two shares of z + o wrap unless both are below M/2. So

    floor(z / 2^f) = A_c + A_s + Q n_c n_s    up to one unit,
    A_s = floor(z_s / 2^f),   A_c = floor((z_c + o mod M) / 2^f) - o / 2^f - Q.

In the ring Q 2^f = M and the result is floor(z / 2^f) or one less; mod the prime it may also be one more.
For f = 0 the shares are A_s = z_s, A_c = z_c, and n is absent. Local truncation of both shares, the usual
alternative, has no product but is wrong by Q with probability |z| / M.

n_c is known offline, n_s online: the product is one COT with the units of arithmetic.py.
"""

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel
from ..errors import CheckFailed
from ..ot import ReceivedCots, SentCots
from ..ot.products import recv_products, send_products
from ..shares import Modulus
from .arithmetic import Arithmetic, Residues, Units

__all__ = ["checked", "offset", "receiver_terms", "recv_units", "send_units", "sender_terms"]

Bits = NDArray[np.uint8]


def offset(modulus: Modulus, shift: int) -> int:
    """o: a multiple of 2^f next to M/4."""
    return modulus.value // 4 >> shift << shift


def sender_terms(ar: Arithmetic, z_s: Residues) -> tuple[Residues, Units | None]:
    """A_s, and n_s Q as units."""
    if not ar.shift:
        return z_s.copy(), None
    return z_s >> np.uint32(ar.shift), ar.below_half(z_s)


def receiver_terms(ar: Arithmetic, z_c: Residues) -> tuple[Residues, Bits | None]:
    """A_c and n_c."""
    modulus, o = ar.modulus, offset(ar.modulus, ar.shift)
    if not ar.shift:
        return z_c.copy(), None
    shifted = modulus.add(z_c, np.full_like(z_c, o))
    n_c = (shifted < np.uint32((modulus.value + 1) // 2)).astype(np.uint8)
    constant = (o >> ar.shift) + (modulus.value >> ar.shift)
    return modulus.sub(shifted >> np.uint32(ar.shift), np.full_like(z_c, constant)), n_c


def send_units(ch: Channel, ar: Arithmetic, cots: SentCots, units: Units) -> Units:
    return ar.as_units(send_products(ch, cots, ar.reduce_units(units).astype(np.uint32), ar.unit_group))


def recv_units(ch: Channel, ar: Arithmetic, cots: ReceivedCots) -> Units:
    return ar.as_units(recv_products(ch, cots, ar.unit_group))


def checked(ar: Arithmetic, column: Units) -> Units:
    """The peer's column, checked."""
    if not ar.modulus.is_ring and column.size and int(column.max()) >= ar.modulus.value:
        raise CheckFailed(f"the peer sent a residue that is not below {ar.modulus.value}")
    return column
