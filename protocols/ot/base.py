"""Random 1-of-2 OT of 16-byte keys from Ed25519, semi-honest; one message each way, neither waits.

[MR19] Masny, Rindal. Endemic Oblivious Transfer. CCS 2019, eprint 2019/706: the protocol from Diffie-Hellman.

G is the prime-order subgroup of edwards25519 with generator g; Hash maps into G, KDF into 16 bytes, both
random oracles.

            sender                                  receiver: b_i ∈ {0,1}, i < n
 (1)        a ← Z_q,  A = a·g      →  A  →
 (2)                         ←  R_i^0, R_i^1  ←     x_i, y_i ← Z_q,   R_i^{1-b} = y_i·g,
                                                    R_i^b = x_i·g − Hash(i, b, R_i^{1-b})
 output     k_i^c = KDF(a·(R_i^c + Hash(i, c, R_i^{1-c})))      k_i^b = KDF(x_i·A)

32 bytes one way, 64 n the other, in either order. KDF also takes i, c, A, R_i^0, R_i^1 and the direction of
the pair, so a key is bound to its place. One A serves all n transfers: Diffie-Hellman is random
self-reducible in the R_i, and KDF separates them. (R_i^0, R_i^1) is a pair of points whose distribution
does not depend on b_i. Hash is the sum of two Elligator maps, which (unlike one map) is indifferentiable
from a random oracle into G.

Departure: a party that deviates may choose its own keys (that is what "endemic" allows); nothing here needs
more. libsodium's group arithmetic runs in constant time; the Python round it does the same operations for
both choices.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from nacl import bindings as sodium
from nacl.exceptions import RuntimeError as SodiumError
from numpy.typing import NDArray

from ..channel import Channel
from ..errors import CheckFailed, ParameterError
from ..prg import Prg
from .cots import Bits

__all__ = [
    "KEY_BYTES",
    "POINT_BYTES",
    "Offer",
    "Request",
    "make_offer",
    "make_request",
    "receive_keys",
    "receiver_keys",
    "send_keys",
    "sender_keys",
]

KEY_BYTES = 16
POINT_BYTES = 32
DOMAIN = b"Circa base OT 1"

Keys = NDArray[np.uint8]  # (n, 16) at the receiver
KeyPairs = NDArray[np.uint8]  # (n, 2, 16) at the sender


@dataclass(frozen=True)
class Offer:
    """Sender, step (1): the exponent a and the point A."""

    secret: bytes
    point: bytes


@dataclass(frozen=True)
class Request:
    """Receiver, step (2): the choices, the exponents x_i, and R of 64 n bytes."""

    choices: list[int]
    secrets: list[bytes]
    points: bytes


def send_keys(ch: Channel, count: int, prg: Prg, direction: int = 0) -> KeyPairs:
    """The base OT sender: both keys of each transfer. Raises CheckFailed for a point outside G."""
    offer = make_offer(prg)
    ch.send(offer.point)  # (1)
    points = ch.recv(2 * POINT_BYTES * count)  # (2)
    return sender_keys(offer, points, direction)


def receive_keys(ch: Channel, choices: Bits, prg: Prg, direction: int = 0) -> Keys:
    """The base OT receiver: the chosen key of each transfer. Raises CheckFailed for a point outside G."""
    request = make_request(choices, prg, direction)
    ch.send(request.points)  # (2)
    point = ch.recv(POINT_BYTES)  # (1)
    return receiver_keys(request, point, direction)


def make_offer(prg: Prg) -> Offer:
    a = _scalar(prg)
    return Offer(a, sodium.crypto_scalarmult_ed25519_base_noclamp(a))


def make_request(choices: Bits, prg: Prg, direction: int) -> Request:
    if choices.dtype != np.uint8 or choices.ndim != 1 or np.any(choices > 1):
        raise ParameterError("the choices of an OT are a flat uint8 array of zeros and ones")
    bits = [int(b) for b in choices]
    secrets, points = [], bytearray()
    for i, b in enumerate(bits):
        x, y = _scalar(prg), _scalar(prg)
        other = sodium.crypto_scalarmult_ed25519_base_noclamp(y)
        chosen = sodium.crypto_core_ed25519_sub(
            sodium.crypto_scalarmult_ed25519_base_noclamp(x), _hash_to_group(direction, i, b, other)
        )
        points += (chosen, other)[b] + (other, chosen)[b]
        secrets.append(x)
    return Request(bits, secrets, bytes(points))


def sender_keys(offer: Offer, points: bytes, direction: int) -> KeyPairs:
    """Step (2) at the sender: k_i^0 and k_i^1, uint8 (n, 2, 16)."""
    count = len(points) // (2 * POINT_BYTES)
    keys = np.empty((count, 2, KEY_BYTES), np.uint8)
    for i in range(count):
        at = 2 * POINT_BYTES * i
        pair = points[at : at + 2 * POINT_BYTES]
        R = _valid(pair[:POINT_BYTES]), _valid(pair[POINT_BYTES:])
        for c in (0, 1):
            base = sodium.crypto_core_ed25519_add(R[c], _hash_to_group(direction, i, c, R[1 - c]))
            keys[i, c] = _kdf(direction, i, c, offer.point, pair, _multiply(offer.secret, base))
    return keys


def receiver_keys(request: Request, point: bytes, direction: int) -> Keys:
    """Step (1) at the receiver: k_i^{b_i}, uint8 (n, 16)."""
    A = _valid(point)
    keys = np.empty((len(request.choices), KEY_BYTES), np.uint8)
    for i, (b, x) in enumerate(zip(request.choices, request.secrets, strict=True)):
        pair = request.points[2 * POINT_BYTES * i : 2 * POINT_BYTES * (i + 1)]
        keys[i] = _kdf(direction, i, b, A, pair, _multiply(x, A))
    return keys


def _scalar(prg: Prg) -> bytes:
    # 64 bytes mod the 253-bit order: the bias is below 2^-250
    return sodium.crypto_core_ed25519_scalar_reduce(prg.bytes(64).tobytes())


def _valid(point: bytes) -> bytes:
    """Canonical encoding, on the curve, in the prime-order subgroup, not the neutral element."""
    if not sodium.crypto_core_ed25519_is_valid_point(point):
        raise CheckFailed("the peer sent a base OT point that is not in the prime-order group")
    return point


def _multiply(scalar: bytes, point: bytes) -> bytes:
    try:
        return sodium.crypto_scalarmult_ed25519_noclamp(scalar, point)
    except SodiumError:
        raise CheckFailed("a base OT point from the peer gives the neutral element") from None


def _hash_to_group(direction: int, i: int, c: int, point: bytes) -> bytes:
    digest = hashlib.sha512(
        DOMAIN + b" group" + bytes([direction, c]) + i.to_bytes(4, "little") + point
    ).digest()
    return sodium.crypto_core_ed25519_add(
        sodium.crypto_core_ed25519_from_uniform(digest[:32]),
        sodium.crypto_core_ed25519_from_uniform(digest[32:]),
    )


def _kdf(direction: int, i: int, c: int, A: bytes, pair: bytes, secret: bytes) -> Keys:
    place = bytes([direction, c]) + i.to_bytes(4, "little")
    digest = hashlib.sha256(DOMAIN + b" key" + place + A + pair + secret).digest()
    return np.frombuffer(digest[:KEY_BYTES], np.uint8)
