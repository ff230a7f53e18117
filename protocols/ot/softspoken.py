"""Correlated OT from 128 base OTs, semi-honest: IKNP with k times fewer bytes for about 2^k / k the work.

[Roy22] Roy. SoftSpokenOT: Quieter OT Extension from Small-Field Silent VOLE in the Minicrypt Model. CRYPTO
2022, eprint 2022/192; semi-honest, repetition code. k = 1 is IKNP [IKNP03] with one matrix [ALSZ13].

Δ's 128 bits are cut into pieces Δ_i of k bits (the last has what is left), one tree of 2^k leaf seeds each:

            sender: Δ ∈ {0,1}^κ                     receiver: r ∈ {0,1}^n
 setup      s_i,x for x ≠ Δ_i                       s_i,x for all x < 2^k         base OTs and pprf.py
 (1)                                ←  d_i  ←       u_i = XOR_x G(s_i,x),  d_i = u_i ⊕ r
                                                    v_i,b = XOR_x x_b·G(s_i,x)     for each bit b < k
 (2)        w_i,b = XOR_x (x ⊕ Δ_i)_b·G(s_i,x)
            q_i,b = w_i,b ⊕ Δ_i,b·d_i
 output     K_j = column j of q                     M_j = column j of v;   K_j = M_j ⊕ r_j·Δ

The seed that the sender lacks has the factor zero in w_i, so w_i,b = v_i,b ⊕ Δ_i,b·u_i, and (2) turns u_i
into r. Row k i + b of q and v belongs to bit b of piece i. To the sender u_i is masked by G(s_i,Δ_i).

Messages, all rows of bits packed low bit first:

 setup      64 κ bytes from the COT sender, 32 from the COT receiver, neither waits; then 32 (k − 1) bytes
            for each tree from the COT receiver, none for k = 1
 (1)        ⌈κ/k⌉·⌈n/8⌉ bytes from the receiver, in messages of 2^15 columns (the last is shorter), so that
            the parties overlap and neither holds a whole matrix. The sender never sends.

G is AES-CTR; every message starts at a new counter block, so the streams are read once. Δ's lowest bit is
fixed to 1 and 127 bits stay secret. Any k gives the same COTs in distribution; both parties use one k.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel, recv_array, send_array
from ..errors import ParameterError
from ..packing import pack_bits, packed_size
from ..prg import Prg
from . import base
from .cots import KAPPA, Bits, Blocks, OtPair, ReceivedCots, SentCots
from .leaves import Leaves, depths, receiver_step, sender_step
from .pprf import grow, puncture

__all__ = [
    "DEFAULT_K",
    "MAX_K",
    "MESSAGE_COLUMNS",
    "RECEIVER_SETUP_BYTES",
    "SENDER_SETUP_BYTES",
    "SoftSpokenReceiver",
    "SoftSpokenSender",
    "correction_bytes",
    "extension_bytes",
    "setup_pair",
    "setup_receiver",
    "setup_sender",
]

MAX_K = 8
DEFAULT_K = 6  # what a line of 1 Gbit/s asks for (choice.py)
SENDER_SETUP_BYTES = 2 * base.POINT_BYTES * KAPPA  # what the COT sender sends
RECEIVER_SETUP_BYTES = base.POINT_BYTES  # what the COT receiver sends with it; correction_bytes(k) follow
MESSAGE_COLUMNS = 1 << 15  # COTs in one message: the matrices stay in the cache

Seeds = NDArray[np.uint8]  # (leaves of all trees, 16)


def extension_bytes(n: int, k: int = DEFAULT_K) -> int:
    """Bytes from the receiver to the sender for n COTs; nothing the other way."""
    return len(depths(_checked(k))) * packed_size(n, 1)


def correction_bytes(k: int) -> int:
    """Bytes from the receiver to the sender, once, for the trees."""
    return sum(2 * base.KEY_BYTES * (depth - 1) for depth in depths(_checked(k)))


def setup_sender(ch: Channel, prg: Prg, k: int = DEFAULT_K) -> "SoftSpokenSender":
    delta = _fresh_delta(prg)
    keys = base.receive_keys(ch, 1 - delta, prg)
    corrections = recv_array(ch, np.uint8, correction_bytes(k)) if _checked(k) > 1 else _NONE
    return SoftSpokenSender(ch, delta, punctured_seeds(keys, delta, corrections, k), k)


def setup_receiver(ch: Channel, prg: Prg, k: int = DEFAULT_K) -> "SoftSpokenReceiver":
    seeds, corrections = grown_seeds(base.send_keys(ch, KAPPA, prg), _checked(k))
    if k > 1:
        send_array(ch, corrections)
    return SoftSpokenReceiver(ch, seeds, k)


def setup_pair(ch: Channel, prg: Prg, first: bool, k: int = DEFAULT_K) -> OtPair:
    """Both directions over one channel: a message each way that neither waits for, and for k > 1 a second
    one. Run by both parties. Raises ParameterError for k outside 1 ... 8.

    Direction 0 is the one in which the party with `first` sends COTs; exactly one of the two passes True.
    It separates the hashes of the two base OTs, so that a point reflected to its sender is of no use.
    """
    mine, theirs = (0, 1) if first else (1, 0)
    delta = _fresh_delta(prg)
    request = base.make_request(1 - delta, prg, mine)
    offer = base.make_offer(prg)
    size = correction_bytes(k)
    ch.send(request.points + offer.point)
    message = ch.recv(SENDER_SETUP_BYTES + RECEIVER_SETUP_BYTES)
    points, point = message[:SENDER_SETUP_BYTES], message[SENDER_SETUP_BYTES:]
    seeds, corrections = grown_seeds(base.sender_keys(offer, points, theirs), k)
    keys = base.receiver_keys(request, point, mine)
    if k > 1:
        send_array(ch, corrections)
        corrections = recv_array(ch, np.uint8, size)
    sender = SoftSpokenSender(ch, delta, punctured_seeds(keys, delta, corrections, k), k)
    return OtPair(sender, SoftSpokenReceiver(ch, seeds, k))


class SoftSpokenSender:
    """A COT sender with Δ (bits, uint8 (128,)) and `punctured_seeds`."""

    def __init__(self, ch: Channel, delta: Bits, seeds: Seeds, k: int):
        self.delta: Blocks = pack_bits(delta).view(np.uint64)
        self._ch, self._leaves, self._tweak = ch, Leaves(seeds, k), 0

    def extend(self, n: int) -> SentCots:
        """Returns K for n COTs; the zero messages are K, the one messages K ⊕ Δ."""
        if n < 0:
            raise ParameterError(f"cannot make {n} COTs")
        K, trees = np.empty((n, 2), np.uint64), len(depths(self._leaves.k))
        for start, stop, width in _messages(n):
            d = recv_array(self._ch, np.uint8, (trees, width))  # (1)
            sender_step(self._leaves, self.delta, d, K[start:stop])  # (2)
        self._tweak += n
        return SentCots(K, self.delta, self._tweak - n)


class SoftSpokenReceiver:
    """A COT receiver with `grown_seeds`."""

    def __init__(self, ch: Channel, seeds: Seeds, k: int):
        self._ch, self._leaves, self._tweak = ch, Leaves(seeds, k), 0

    def extend(self, choices: Bits) -> ReceivedCots:
        """Returns M with M_j = K_j ⊕ r_j·Δ."""
        if choices.dtype != np.uint8 or choices.ndim != 1 or np.any(choices > 1):
            raise ParameterError("the choices of a COT are a flat uint8 array of zeros and ones")
        n = choices.size
        M, trees = np.empty((n, 2), np.uint64), len(depths(self._leaves.k))
        for start, stop, width in _messages(n):
            d = np.empty((trees, width), np.uint8)
            receiver_step(self._leaves, pack_bits(choices[start:stop]), d, M[start:stop])
            send_array(self._ch, d)  # (1)
        self._tweak += n
        return ReceivedCots(M, choices, self._tweak - n)


def grown_seeds(keys: base.KeyPairs, k: int) -> tuple[Seeds, NDArray[np.uint8]]:
    """The receiver's s_i,x from both keys of every base OT, and its message for the trees, flat."""
    grown = [grow(levels) for levels in _by_depth(keys, k)]
    return (
        np.concatenate([leaves.reshape(-1, base.KEY_BYTES) for leaves, _ in grown]),
        np.concatenate([corrections.reshape(-1) for _, corrections in grown]),
    )


def punctured_seeds(keys: base.Keys, delta: Bits, corrections: NDArray[np.uint8], k: int) -> Seeds:
    """The sender's s_i,x from the keys that 1 − Δ chose: seed y of tree i is s_i,y⊕Δ_i, and seed 0 zeros."""
    seeds, start = [], 0
    for levels, path in zip(_by_depth(keys, k), _by_depth(delta, k), strict=True):
        trees, depth = path.shape
        shape = (trees, depth - 1, 2, base.KEY_BYTES)
        stop = start + int(np.prod(shape))
        nodes = puncture(levels, path, corrections[start:stop].reshape(shape))
        start = stop
        missing = path @ (1 << np.arange(depth)[::-1])
        y = np.arange(1 << depth)[None, :] ^ missing[:, None]
        seeds.append(nodes[np.arange(trees)[:, None], y].reshape(-1, base.KEY_BYTES))
    return np.concatenate(seeds)


_NONE = np.empty(0, np.uint8)


def _by_depth(values: NDArray[np.uint8], k: int) -> list[NDArray[np.uint8]]:
    """Values of the 128 rows as (trees, depth, ...), for the trees of depth k and for a last smaller one;
    the highest bit of a piece comes first, as the levels of a tree do.
    """
    whole = KAPPA // k * k
    parts = [values[:whole].reshape(-1, k, *values.shape[1:])]
    if whole < KAPPA:
        parts.append(values[None, whole:])
    return [part[:, ::-1] for part in parts]


def _checked(k: int) -> int:
    if not 1 <= k <= MAX_K:
        raise ParameterError(f"the field of a SoftSpoken OT has 1 to {MAX_K} bits, not {k}")
    return k


def _fresh_delta(prg: Prg) -> Bits:
    delta = prg.bits(KAPPA)
    delta[0] = 1  # the permute bit of free-XOR labels needs it
    return delta


def _messages(n: int) -> Iterator[tuple[int, int, int]]:
    """First and last COT of each message, and the bytes in a row of it."""
    for start in range(0, n, MESSAGE_COLUMNS):
        stop = min(start + MESSAGE_COLUMNS, n)
        yield start, stop, packed_size(stop - start, 1)
