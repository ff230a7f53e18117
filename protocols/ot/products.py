"""Additive shares of choice · correlation, one COT an element, semi-honest.

[Gilboa99] Gilboa. Two Party RSA Key Generation. CRYPTO 1999, section 4.1; in this form from COTs:
[ALSZ13] Asharov, Lindell, Schneider, Zohner. CCS 2013, eprint 2013/552, section 5.1 (C-OT).

            sender: x_j ∈ Z_M, K_j, Δ               receiver: r_j, M_j
            p_j^0 = H(K_j, j) mod M                 p_j = H(M_j, j) mod M, which is p_j^{r_j}
            p_j^1 = H(K_j ⊕ Δ, j) mod M
 (1)        d_j = p_j^0 − p_j^1 + x_j    →  d_j  →
 output     −p_j^0                                  p_j + r_j·d_j;   the sum is r_j·x_j

One message, l bits an element, packed: M is a `Modulus` (l its bits) or a width f for arithmetic mod 2^f (l
= f). d_j is uniform: p_j^{1-r_j} appears nowhere else. 128 bits mod the prime are within 2^-97 of uniform.
"""

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel, recv_array, send_array
from ..errors import CheckFailed, ParameterError
from ..packing import pack, packed_size, unpack
from ..shares import Modulus
from .cots import Blocks, ReceivedCots, SentCots

__all__ = ["product_bytes", "recv_products", "send_products"]

Residues = NDArray[np.uint32]

_CHUNK = 1 << 13  # COTs at a time: the hashes stay in the cache


def product_bytes(n: int, modulus: Modulus | int) -> int:
    """Bytes from the sender to the receiver for n products; nothing the other way."""
    return packed_size(n, _bits(modulus))


def send_products(ch: Channel, cots: SentCots, correlation: Residues, modulus: Modulus | int) -> Residues:
    """The sender's shares of r_j·x_j for the correlation x: uint32 residues, any shape, to the same shape.

    COT j serves element j in C order. Raises ParameterError where the numbers differ.
    """
    x, bits = correlation.reshape(-1), _bits(modulus)
    if x.dtype != np.uint32 or x.size != len(cots):
        raise ParameterError(f"{len(cots)} COTs cannot multiply {x.size} correlations of type {x.dtype}")
    shares, d = np.empty_like(x), np.empty_like(x)
    for start in range(0, x.size, _CHUNK):
        chunk = slice(start, min(start + _CHUNK, x.size))
        p0, p1 = (_residues(p, modulus) for p in cots.part(chunk.start, chunk.stop).pads())
        d[chunk] = _add(_sub(p0, p1, modulus), x[chunk], modulus)  # (1)
        shares[chunk] = _sub(np.zeros_like(p0), p0, modulus)
    send_array(ch, pack(d, bits))
    return shares.reshape(correlation.shape)


def recv_products(ch: Channel, cots: ReceivedCots, modulus: Modulus | int) -> Residues:
    """The receiver's shares of r_j·x_j for its choices r: flat, uint32 (n,), in the order of the COTs.

    Raises CheckFailed where a correction is not below the modulus.
    """
    n, bits = len(cots), _bits(modulus)
    d = unpack(recv_array(ch, np.uint8, (packed_size(n, bits),)), n, bits).astype(np.uint32)  # (1)
    if isinstance(modulus, Modulus) and not modulus.is_ring and n and int(d.max()) >= modulus.value:
        raise CheckFailed(f"the peer sent a correction that is not below {modulus.value}")
    d *= cots.choices
    for start in range(0, n, _CHUNK):
        chunk = slice(start, min(start + _CHUNK, n))
        pads = _residues(cots.part(chunk.start, chunk.stop).pads(), modulus)
        d[chunk] = _add(pads, d[chunk], modulus)
    return d


def _bits(modulus: Modulus | int) -> int:
    if isinstance(modulus, Modulus):
        return modulus.bits
    if not 1 <= modulus <= 32:
        raise ParameterError(f"products have a width of 1 to 32 bits, not {modulus}")
    return modulus


def _residues(pads: Blocks, modulus: Modulus | int) -> Residues:
    """Pads mod M; a power of two takes the low bits, the prime all 128."""
    if isinstance(modulus, Modulus) and not modulus.is_ring:
        p = np.uint64(modulus.value)
        top = np.uint64(pow(2, 64, modulus.value))
        return ((pads[:, 1] % p * top + pads[:, 0] % p) % p).astype(np.uint32)
    return _mask(pads[:, 0].astype(np.uint32), modulus)


def _add(a: Residues, b: Residues, modulus: Modulus | int) -> Residues:
    return modulus.add(a, b) if isinstance(modulus, Modulus) else _mask(a + b, modulus)


def _sub(a: Residues, b: Residues, modulus: Modulus | int) -> Residues:
    return modulus.sub(a, b) if isinstance(modulus, Modulus) else _mask(a - b, modulus)


def _mask(a: Residues, modulus: Modulus | int) -> Residues:
    return a if isinstance(modulus, Modulus) else a & np.uint32((1 << modulus) - 1)
