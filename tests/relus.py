"""What the tests of the ReLU protocols share: layers, shares with their corners, and both phases."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from otpairs import Setup, ot_setups

from circa.protocols.channel import Channel
from circa.protocols.errors import ParameterError
from circa.protocols.ot import OtPair
from circa.protocols.ot.softspoken import (
    DEFAULT_K,
    SoftSpokenReceiver,
    SoftSpokenSender,
    grown_seeds,
    punctured_seeds,
)
from circa.protocols.packing import unpack_bits
from circa.protocols.prg import Prg
from circa.protocols.relu import WINDOWED, Activation, Relu
from circa.protocols.shares import Modulus
from circa.protocols.sign.window import Window
from circa.protocols.steps import complete
from harness import Transcript, run_pair

SENDER_SEED, RECEIVER_SEED = b"the sender's own", b"the receiver's!!"

LINEAR = ("rescale", "square")  # no sign test: layers without knots


def layer(
    name: str,
    modulus: Modulus,
    shift: int = 7,
    knots: tuple[int, ...] = (0,),
    coefs: tuple[int, ...] = (1,),
    positions: int = 23,
    bits: int = 6,
) -> Activation:
    """Three channels, and of the parameters what the protocol of that name can do: see WINDOWED, LINEAR."""
    window = Window(min(bits, 8) if name == "table" else bits, (5, 64, 77)) if name in WINDOWED else None
    if name == "table":
        window = one_sided(window, len(knots))
    if name in LINEAR:
        knots = coefs = ()
        shift = 0 if name == "square" else max(shift, 1)
    return Activation(modulus, 3, positions, shift, window, 12, "poszero", knots, coefs)


def one_sided(window: Window, knots: int = 1) -> Window:
    """The window with another number of positive cells for every gain and knot, few and many among them."""
    most, gains = (1 << window.bits) - 1, len(window.gain)
    cells = np.linspace(1, most, knots * gains).round().astype(int).reshape(knots, gains)
    return replace(window, positive=tuple(map(tuple, cells[:, ::-1].tolist())))


def values(act: Activation, batch: int, seed: int = 0) -> NDArray[np.int64]:
    """Integers with room for the rescale that fill the window, if any, of every channel; half are small."""
    bound = min(1 << 29, act.modulus.value // 4 - (2 << act.shift))
    bound -= max((abs(knot) for knot in act.knots), default=0)
    low, high = (np.array([-1]), np.array([1])) * np.array(bound)
    if act.window is not None:
        low, high = (np.clip(side, -bound, bound) for side in act.window.bounds(act.knots))
    z = np.random.default_rng(seed).uniform(-1, 1, act.shape(batch)) ** 3
    return np.where(z < 0, -z * low[:, None], z * high[:, None]).astype(np.int64)


def corners(modulus: Modulus) -> NDArray[np.uint32]:
    """Shares at which something wraps, or a comparison with M/2 or M/4 changes."""
    M = modulus.value
    near = [c + d for c in (0, M // 4, M // 2, 3 * M // 4, M) for d in (-2, -1, 0, 1, 2)]
    return np.array([c % M for c in near], np.uint32)


def split_shares(modulus: Modulus, z: NDArray[np.int64], seed: int = 0) -> tuple[Any, Any]:
    """(z_s, z_c) with corners at the receiver for the first elements of z, and at the sender for the last."""
    rng = np.random.default_rng(seed)
    z_c = rng.integers(0, modulus.value, z.size, dtype=np.uint32)
    at = corners(modulus)
    if z.size >= 2 * at.size:
        z_c[: at.size] = at
        z_c[-at.size :] = modulus.sub(modulus.encode(z.reshape(-1)[-at.size :]), at)
    z_c = z_c.reshape(z.shape)
    return modulus.sub(modulus.encode(z), z_c), z_c


def dealt_cots(k: int = DEFAULT_K) -> tuple[Setup, Setup]:
    """SoftSpoken OT, its base keys dealt to both parties: only the extensions are on the wire. For counts."""
    prg = Prg(b"dealt base keys!")
    deltas = [unpack_bits(prg.bytes(16) | np.uint8(1), 128) for _ in range(2)]
    keys = [prg.bytes(128 * 2 * 16).reshape(128, 2, 16) for _ in range(2)]

    def party(mine: int) -> Setup:
        def setup(ch: Channel) -> OtPair:
            delta = deltas[mine]
            chosen = keys[mine][np.arange(128), 1 - delta]
            _, corrections = grown_seeds(keys[mine], k)
            sender = SoftSpokenSender(ch, delta, punctured_seeds(chosen, delta, corrections, k), k)
            return OtPair(sender, SoftSpokenReceiver(ch, grown_seeds(keys[1 - mine], k)[0], k))

        return setup

    return party(0), party(1)


@dataclass
class Run:
    """Shares and material of one layer, and the transcripts of both phases."""

    y_s: NDArray[np.uint32]
    y_c: NDArray[np.uint32]
    sender: Any
    receiver: Any
    offline: Transcript
    online: Transcript

    def y(self, modulus: Modulus) -> NDArray[np.uint32]:
        return modulus.add(self.y_s, self.y_c)


def offline(
    protocol: Relu, act: Activation, z_c: NDArray[np.uint32], setups: tuple[Setup, Setup] | None = None
) -> tuple[NDArray[np.uint32], Any, Any, Transcript]:
    """y_c, the sender's and the receiver's material, and what was said (the OT's setup included)."""
    left, right = setups or ot_setups("ideal")
    y_c = act.modulus.uniform(Prg(b"share of result!"), z_c.shape)
    sender, receiver, transcript = run_pair(
        lambda ch: complete(protocol.offline_sender(ch, left(ch), act, len(z_c), Prg(SENDER_SEED))),
        lambda ch: complete(protocol.offline_receiver(ch, right(ch), act, z_c, y_c, Prg(RECEIVER_SEED))),
        timeout=60,
    )
    return y_c, sender, receiver, transcript


def run(
    protocol: Relu,
    act: Activation,
    z_s: NDArray[np.uint32],
    z_c: NDArray[np.uint32],
    setups: tuple[Setup, Setup] | None = None,
) -> Run:
    y_c, sender, receiver, said = offline(protocol, act, z_c, setups)
    y_s, _, online = run_pair(
        lambda ch: protocol.online_sender(ch, act, z_s, sender),
        lambda ch: protocol.online_receiver(ch, act, receiver),
    )
    return Run(y_s, y_c, sender, receiver, said, online)


class Nobody:
    """A channel for calls that must be refused before anything is sent."""

    def send(self, data: bytes) -> None:
        pytest.fail(f"{len(data)} bytes were sent")

    def recv(self, size: int) -> bytes:
        pytest.fail(f"{size} bytes were waited for")


def check_refused(protocol: Relu, act: Activation, message: str) -> None:
    """Whatever is asked for this layer raises ParameterError with the message, before anything is sent."""
    nobody: Any = Nobody()
    z = np.zeros(act.shape(1), np.uint32)
    for call in (
        lambda: protocol.cost(act, 1),
        lambda: protocol.simulate(act, z, z),
        lambda: complete(protocol.offline_sender(nobody, nobody, act, 1, nobody)),
        lambda: complete(protocol.offline_receiver(nobody, nobody, act, z, z, nobody)),
        lambda: protocol.online_sender(nobody, act, z, nobody),
        lambda: protocol.online_receiver(nobody, act, nobody),
    ):
        with pytest.raises(ParameterError, match=message):
            call()
