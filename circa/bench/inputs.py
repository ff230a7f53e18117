"""The values that every system is given: the same ones for ours and for the peers.

Fixed point with 16 fractional bits, as CrypTen encodes. A value is a sum of eight uniform ones: nearly
Gaussian, standard deviation 3.3, within ±16, and exact in float32. Not secret: the generator has a fixed
seed.
"""

import numpy as np
from numpy.typing import NDArray

from circa.protocols.prg import Prg

__all__ = ["FRACTION_BITS", "LIMIT", "sample"]

FRACTION_BITS = 16
LIMIT = 1 << 20  # every |value| is at most this

_TERMS, _TERM_BITS = 8, 18


def sample(count: int) -> NDArray[np.int64]:
    """`count` integers in [−LIMIT, LIMIT]: real values times 2^16."""
    terms = Prg(b"circa bench relu").uint32((_TERMS, count)) >> np.uint32(32 - _TERM_BITS)
    total: NDArray[np.int64] = terms.sum(axis=0, dtype=np.int64) - (_TERMS << (_TERM_BITS - 1))
    return total
