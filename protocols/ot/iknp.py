"""Correlated OT from 128 base OTs, semi-honest.

[IKNP03] Ishai, Kilian, Nissim, Petrank. Extending Oblivious Transfers Efficiently. CRYPTO 2003.
[ALSZ13] Asharov, Lindell, Schneider, Zohner. More Efficient Oblivious Transfer. CCS 2013, eprint 2013/552.

            sender: Δ ∈ {0,1}^κ                     receiver: r ∈ {0,1}^n
 setup      k_i^{Δ_i} for i < κ                     (k_i^0, k_i^1) for i < κ        base OTs, roles reversed
 (1)                            ←  u_i  ←           t_i = G(k_i^0),  u_i = t_i ⊕ G(k_i^1) ⊕ r
 (2)        q_i = G(k_i^{Δ_i}) ⊕ Δ_i·u_i = t_i ⊕ Δ_i·r
 output     K_j = column j of q                     M_j = column j of t;   K_j = M_j ⊕ r_j·Δ

One matrix u as in [ALSZ13]. Setup is one message each way, neither waits: 64 κ bytes from the COT sender,
32 from the COT receiver. After it the COT sender never sends. u is κ·⌈n/8⌉ bytes, rows of bits packed low
bit first, in messages of 2^15 columns (the last is shorter), so that the parties overlap and neither holds
a whole matrix. G is AES-CTR; every message starts at a new counter block, so the rows are read once. Δ's
lowest bit is fixed to 1 and 127 bits stay secret.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..channel import Channel, recv_array, send_array
from ..errors import ParameterError
from ..packing import pack_bits, packed_size, unpack_bits
from ..prg import Prg
from . import base
from .cots import KAPPA, Bits, Blocks, OtPair, ReceivedCots, SentCots
from .expand import BLOCK_BYTES, Rows
from .transpose import columns_numpy

__all__ = [
    "RECEIVER_SETUP_BYTES",
    "SENDER_SETUP_BYTES",
    "IknpReceiver",
    "IknpSender",
    "extension_bytes",
    "setup_pair",
    "setup_receiver",
    "setup_sender",
]

SENDER_SETUP_BYTES = 2 * base.POINT_BYTES * KAPPA  # what the COT sender sends
RECEIVER_SETUP_BYTES = base.POINT_BYTES  # what the COT receiver sends
Matrix = NDArray[np.uint8]  # (128, width): rows of bits, low bit first
Packed = NDArray[np.uint8]  # (width,)

MESSAGE_COLUMNS = 1 << 15  # COTs in one message: 512 KiB, and the matrices stay in the cache


def extension_bytes(n: int) -> int:
    """Bytes from the receiver to the sender for n COTs; nothing the other way."""
    return KAPPA * packed_size(n, 1)


def setup_sender(ch: Channel, prg: Prg) -> "IknpSender":
    delta = _fresh_delta(prg)
    return IknpSender(ch, delta, base.receive_keys(ch, delta, prg))


def setup_receiver(ch: Channel, prg: Prg) -> "IknpReceiver":
    return IknpReceiver(ch, base.send_keys(ch, KAPPA, prg))


def setup_pair(ch: Channel, prg: Prg, first: bool) -> OtPair:
    """Both directions over one channel, in one message each way that neither waits for. Run by both parties.

    Direction 0 is the one in which the party with `first` sends COTs; exactly one of the two passes True.
    It separates the hashes of the two base OTs, so that a point reflected to its sender is of no use.
    """
    mine, theirs = (0, 1) if first else (1, 0)
    delta = _fresh_delta(prg)
    request = base.make_request(delta, prg, mine)
    offer = base.make_offer(prg)
    ch.send(request.points + offer.point)
    message = ch.recv(SENDER_SETUP_BYTES + RECEIVER_SETUP_BYTES)
    points, point = message[:SENDER_SETUP_BYTES], message[SENDER_SETUP_BYTES:]
    sender = IknpSender(ch, delta, base.receiver_keys(request, point, mine))
    receiver = IknpReceiver(ch, base.sender_keys(offer, points, theirs))
    return OtPair(sender, receiver)


class IknpSender:
    """A COT sender with Δ (bits, uint8 (128,)) and the base OT keys that Δ chose, uint8 (128, 16)."""

    def __init__(self, ch: Channel, delta: Bits, keys: base.Keys):
        self.delta: Blocks = pack_bits(delta).view(np.uint64)
        self._ch, self._rows, self._tweak = ch, Rows(keys), 0

    def extend(self, n: int) -> SentCots:
        """Returns K for n COTs; the zero messages are K, the one messages K ⊕ Δ."""
        if n < 0:
            raise ParameterError(f"cannot make {n} COTs")
        K = np.empty((n, 2), np.uint64)
        for start, stop, width in _messages(n):
            u = recv_array(self._ch, np.uint8, (KAPPA, width))  # (1)
            sender_step(self._rows, self.delta, u, K[start:stop])  # (2)
        self._tweak += n
        return SentCots(K, self.delta, self._tweak - n)


class IknpReceiver:
    """A COT receiver with the base OT key pairs, uint8 (128, 2, 16)."""

    def __init__(self, ch: Channel, keys: base.KeyPairs):
        self._ch, self._rows, self._tweak = ch, (Rows(keys[:, 0]), Rows(keys[:, 1])), 0

    def extend(self, choices: Bits) -> ReceivedCots:
        """Returns M with M_j = K_j ⊕ r_j·Δ."""
        if choices.dtype != np.uint8 or choices.ndim != 1 or np.any(choices > 1):
            raise ParameterError("the choices of a COT are a flat uint8 array of zeros and ones")
        n = choices.size
        M = np.empty((n, 2), np.uint64)
        for start, stop, width in _messages(n):
            u = np.empty((KAPPA, width), np.uint8)
            receiver_step(*self._rows, pack_bits(choices[start:stop]), u, M[start:stop])
            send_array(self._ch, u)  # (1)
        self._tweak += n
        return ReceivedCots(M, choices, self._tweak - n)


def sender_step(rows: Rows, delta: Blocks, u: Matrix, K: Blocks) -> None:
    """Step (2) for one message u: writes K, (n, 2). `rows` are the streams under k_i^{Δ_i}."""
    fast = kernels.native()
    if fast is None:
        sender_step_numpy(rows, delta, u, K)
    else:
        fast.iknp_send(rows.keys, rows.position, delta, u, K)
        rows.skip(_blocks(u))


def sender_step_numpy(rows: Rows, delta: Blocks, u: Matrix, K: Blocks) -> None:
    """`sender_step` in NumPy: the definition."""
    q = rows.next_numpy(_blocks(u))
    q[:, : u.shape[1]] ^= u & (np.uint8(0) - unpack_bits(delta.view(np.uint8), KAPPA))[:, None]
    K[:] = columns_numpy(q)[: len(K)]


def receiver_step(zero: Rows, one: Rows, r: Packed, u: Matrix, M: Blocks) -> None:
    """Step (1) for one message: writes u, to be sent, and M, (n, 2), for the packed choices r.

    `zero` and `one` are the streams under k_i^0 and k_i^1.
    """
    fast = kernels.native()
    if fast is None:
        receiver_step_numpy(zero, one, r, u, M)
    else:
        fast.iknp_recv(zero.keys, one.keys, zero.position, r, u, M)
        zero.skip(_blocks(u))
        one.skip(_blocks(u))


def receiver_step_numpy(zero: Rows, one: Rows, r: Packed, u: Matrix, M: Blocks) -> None:
    """`receiver_step` in NumPy: the definition."""
    t = zero.next_numpy(_blocks(u))
    u[:] = (t ^ one.next_numpy(_blocks(u)))[:, : u.shape[1]] ^ r
    M[:] = columns_numpy(t)[: len(M)]


def _blocks(u: Matrix) -> int:
    return -(-int(u.shape[1]) // BLOCK_BYTES)


def _fresh_delta(prg: Prg) -> Bits:
    delta = prg.bits(KAPPA)
    delta[0] = 1  # the permute bit of free-XOR labels needs it
    return delta


def _messages(n: int) -> Iterator[tuple[int, int, int]]:
    """First and last COT of each message, and the bytes in a row of it."""
    for start in range(0, n, MESSAGE_COLUMNS):
        stop = min(start + MESSAGE_COLUMNS, n)
        yield start, stop, packed_size(stop - start, 1)
