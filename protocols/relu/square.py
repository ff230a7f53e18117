"""The square y = z^2 mod M, for quadratic activations. Implements `Relu`; exact, both moduli.

Semi-honest. A Beaver triple whose one half is fixed: z_c is known offline, so only z_s has to be opened.
[Gilboa99] Gilboa. Two Party RSA Key Generation. CRYPTO 1999, section 4.1: the cross term.

            sender: z_s; a                          receiver: z_c, y_c
 offline    the bits of z_c as COT choices, corrections for a 2^(i+1):   S + C = 2 a z_c
 (1)        D = z_s - a  →
 (2)                                     ←  P       P = z_c^2 + C - y_c + 2 z_c D
 output     y_s = z_s^2 + S + P                     nothing: y_c was chosen offline

l bits down and l up an element, one round trip; offline 31 COTs an element (2 z_c mod 2^32 does not depend
on bit 31) and as many corrections of l bits. D is masked by the uniform a, of which the receiver learns
nothing: the corrections are masked by pads that it does not have. P is masked by y_c. A scale of f
fractional bits becomes one of 2 f: `rescale` comes next.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel
from ..errors import ParameterError
from ..ot import OtPair
from ..ot.products import product_bytes, recv_products, send_products
from ..ot.softspoken import DEFAULT_K, extension_bytes
from ..prg import Prg
from ..shares import Modulus, recv_residues, residue_bytes, send_residues
from ..steps import Steps
from .activation import Activation, Cost, Phase
from .material import flat, shaped

__all__ = ["Square", "SquareReceiver", "SquareSender"]

Residues = NDArray[np.uint32]

BITS = 31  # of z_c that count: the prime has no more, and twice bit 31 is zero in the ring
PART = 1 << 14  # elements at a time: half a million COTs


@dataclass(frozen=True)
class SquareSender:
    a: Residues
    S: Residues


@dataclass(frozen=True)
class SquareReceiver:
    """C0 = z_c^2 + C - y_c, and 2 z_c."""

    C0: Residues
    twice: Residues


class Square:
    """The protocol `square`, for an activation without knots and shift. It has no state."""

    name = "square"

    # ---- offline

    def offline_sender(
        self, ch: Channel, ot: OtPair, act: Activation, batch: int, prg: Prg
    ) -> Steps[SquareSender]:
        modulus, count = _parameters(act), batch * act.elements
        a, S = modulus.uniform(prg, (count,)), np.empty(count, np.uint32)
        weights = modulus.encode(np.int64(2) << np.arange(BITS)[:, None])
        for part in _parts(count):
            yield  # nothing in step 0; a round trip a part
            cots = ot.sender.extend(BITS * (part.stop - part.start))
            yield
            shares = send_products(ch, cots, modulus.mul(a[part], weights), modulus)
            S[part] = _total(shares, modulus)
        return shaped(act, batch, SquareSender(a, S))

    def offline_receiver(
        self, ch: Channel, ot: OtPair, act: Activation, z_c: Residues, y_c: Residues, prg: Prg
    ) -> Steps[SquareReceiver]:
        modulus, batch = _parameters(act), act.batch_of(z_c)
        if act.batch_of(y_c) != batch:
            raise ParameterError(f"shares of {batch} and {y_c.shape[0]} images")
        z = z_c.reshape(-1)
        C0 = modulus.sub(modulus.mul(z, z), y_c.reshape(-1))
        places = np.arange(BITS, dtype=np.uint32)[:, None]
        for part in _parts(z.size):
            bits = (z[part] >> places & np.uint32(1)).astype(np.uint8)
            yield  # nothing in step 0
            cots = ot.receiver.extend(bits.reshape(-1))
            yield
            shares = recv_products(ch, cots, modulus).reshape(bits.shape)
            C0[part] = modulus.add(C0[part], _total(shares, modulus))
        return shaped(act, batch, SquareReceiver(C0, modulus.add(z, z)))

    # ---- online

    def online_sender(self, ch: Channel, act: Activation, z_s: Residues, material: SquareSender) -> Residues:
        modulus, batch = _parameters(act), act.batch_of(z_s)
        kept, z = flat(act, batch, material), z_s.reshape(-1)
        send_residues(ch, modulus.sub(z, kept.a), modulus)  # (1)
        y = modulus.add(modulus.mul(z, z), kept.S)
        return modulus.add(y, recv_residues(ch, y.shape, modulus)).reshape(z_s.shape)  # (2)

    def online_receiver(self, ch: Channel, act: Activation, material: SquareReceiver) -> None:
        modulus, batch = _parameters(act), material.C0.shape[0]
        kept = flat(act, batch, material)
        D = recv_residues(ch, kept.C0.shape, modulus)  # (1)
        send_residues(ch, modulus.add(kept.C0, modulus.mul(kept.twice, D)), modulus)  # (2)

    # ---- what it computes, what it costs

    def simulate(self, act: Activation, z_s: Residues, z_c: Residues) -> Residues:
        modulus = _parameters(act)
        z = modulus.add(z_s, z_c)
        return modulus.mul(z, z)

    def cost(self, act: Activation, batch: int, ot_k: int = DEFAULT_K) -> Cost:
        modulus, count = _parameters(act), batch * act.elements
        sizes = [BITS * (part.stop - part.start) for part in _parts(count)]
        return Cost(
            offline=Phase(
                sum(product_bytes(size, modulus) for size in sizes),
                sum(extension_bytes(size, ot_k) for size in sizes),
                len(sizes),
            ),
            online=Phase(residue_bytes(count, modulus), residue_bytes(count, modulus), 1),
            and_gates=0,
            table_bytes=0,
            sender_stored=8 * count,
            receiver_stored=8 * count,
        )


def _parameters(act: Activation) -> Modulus:
    if act.knots or act.shift:
        raise ParameterError("the square protocol has no sign test and no shift")
    return act.modulus


def _total(terms: Residues, modulus: Modulus) -> Residues:
    total: NDArray[np.uint64] = terms.sum(axis=0, dtype=np.uint64) % np.uint64(modulus.value)
    return total.astype(np.uint32)


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, min(start + PART, count)) for start in range(0, count, PART))
