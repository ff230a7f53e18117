"""The tweakable circular correlation-robust hash H(x, j).

[GKWY20] Guo, Katz, Wang, Yu. Efficient and Secure Multiparty Computation from Fixed-Key Block Ciphers.
IEEE S&P 2020, eprint 2019/074, section 7.3: MMO over a linear orthomorphism, with pi = AES-128 under a fixed
public key.

    sigma(x) = (x_hi ^ x_lo) || x_hi
    H(x, j)  = pi(s) ^ s,   s = sigma(x) ^ j

A block is two uint64, low word first; the tweak j is XORed onto the low word. pi reads a block's 16 bytes in
memory order (little-endian words), so H is fixed byte for byte on every machine.

A tweak must not repeat for one secret offset Delta; callers number their blocks from a counter that only
grows. The functions in `_numpy` are the definition; the others run the native kernels where there are any.
"""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from . import kernels

__all__ = ["FIXED_KEY", "sigma", "tccr", "tccr_numpy", "tccr_pair", "tccr_pair_numpy"]

FIXED_KEY = b"Circa fixed key."  # public; any constant does, the permutation is modelled as ideal
_CHUNK = 1 << 12  # blocks at a time: the buffers stay in the processor's second-level cache

Blocks = NDArray[np.uint64]


def sigma(x: Blocks) -> Blocks:
    """The linear orthomorphism of [GKWY20]: both sigma and x -> sigma(x) ^ x are permutations."""
    out = np.empty_like(x)
    out[..., 0] = x[..., 1]
    out[..., 1] = x[..., 0] ^ x[..., 1]
    return out


def tccr(x: Blocks, tweak: int) -> Blocks:
    """H(x_i, tweak + i) for every row i of x: uint64 of shape (n, 2) to the same shape."""
    fast = kernels.native()
    if fast is None:
        return tccr_numpy(x, tweak)
    out = np.empty_like(x, order="C")
    fast.tccr(np.ascontiguousarray(x), tweak, out)
    return out


def tccr_pair(x: Blocks, delta: Blocks, tweak: int) -> tuple[Blocks, Blocks]:
    """H(x_i, tweak + i) and H(x_i ^ delta, tweak + i), delta of shape (2,): both messages of a COT."""
    fast = kernels.native()
    if fast is None:
        return tccr_pair_numpy(x, delta, tweak)
    zero, one = np.empty_like(x, order="C"), np.empty_like(x, order="C")
    fast.cot_pads(np.ascontiguousarray(x), delta, tweak, zero, one)
    return zero, one


def tccr_pair_numpy(x: Blocks, delta: Blocks, tweak: int) -> tuple[Blocks, Blocks]:
    """`tccr_pair` in NumPy: the definition."""
    return tccr_numpy(x, tweak), tccr_numpy(x ^ delta, tweak)


def tccr_numpy(x: Blocks, tweak: int) -> Blocks:
    """`tccr` in NumPy: the definition."""
    n = x.shape[0]
    out = np.empty((n + 1, 2), np.uint64)  # one block of slack for update_into
    flat = out.reshape(-1).view(np.uint8)
    pi = Cipher(algorithms.AES128(FIXED_KEY), modes.ECB()).encryptor()
    for start in range(0, n, _CHUNK):
        s = sigma(x[start : start + _CHUNK])
        stop = start + s.shape[0]
        s[:, 0] ^= np.arange(tweak + start, tweak + stop, dtype=np.uint64)
        pi.update_into(s.reshape(-1).view(np.uint8).data, flat.data[16 * start :])
        out[start:stop] ^= s
    return out[:n]
