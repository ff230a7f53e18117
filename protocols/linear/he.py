"""Masked linear layers with BFV, semi-honest.

[HLHD22] Huang, Lu, Hong, Ding. Cheetah. USENIX Security 2022, eprint 2022/207, section 3 (HomConv, HomFC).
[FV12]   Fan, Vercauteren. Somewhat Practical Fully Homomorphic Encryption. Eprint 2012/144.

            sender: W                                    receiver: r
 setup      pk                                      ←    key pair; pk = Enc(0), seeded      once a session
 (1)        a message for each polynomial           ←    (c0, seed of c1) = Enc(r_i)
 (2)        c = sum_i Enc(r_i) W_i + u pk + (E, e1) − s
            at the first prime: c1 and, of c0,
            the coefficients that are outputs       →
 (3)                                                     decrypts
 output     s                                            W r − s

u is ternary, e1 centred binomial, E the flood, s uniform, all fresh for each polynomial of (2).

One round trip. A request needs no answer to earlier ones: requests of many layers may be sent ahead. Bytes:
`cost.py`. Exact, with no probability of failure. What the receiver sends is pseudorandom by RLWE. What it
learns of W is bounded in `noise.py`: statistical distance 2^-40 or less a coefficient, worst case. The sender
skips weight polynomials that are all zero, which its time may show.
"""

import secrets

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel
from ..errors import ParameterError
from ..packing import packed_size
from ..prg import Prg
from ..shares import Modulus
from .backend import receiver_backend, sender_backend
from .encoding import encode_input, place
from .parameters import B4096, parameter_set
from .plan import make_plan
from .shape import LinearShape
from .stream import Answers, InThread, Progress
from .tasks import Worker
from .weights import Prepared, WeightCache

__all__ = ["LinearReceiver", "LinearSender", "Prepared", "Progress", "WeightCache"]

Residues = NDArray[np.uint32]


class LinearSender:
    """Holds the weights, learns s. One for a session and parameter set."""

    def __init__(self, modulus: Modulus, prg: Prg, parameters: str = B4096.name):
        self._modulus, self._prg = modulus, prg
        self._parameters = parameter_set(parameters)
        self._key = secrets.token_bytes(16)  # names the public key to workers
        self._public: bytes | None = None

    def setup(self, ch: Channel) -> None:
        """Receive the public key. Raises CheckFailed for one with values out of range."""
        message = ch.recv(self._parameters.request_bytes)
        sender_backend(self._parameters, self._modulus.value).request(message)
        self._public = message

    @staticmethod
    def prepare(
        modulus: Modulus,
        shape: LinearShape,
        weights: NDArray[np.int64],
        parameters: str = B4096.name,
        cache: WeightCache | None = None,
    ) -> Prepared:
        """Check a layer's weights, (out_channels, in_channels / groups, kh, kw), for all sessions.

        `cache` bounds the memory of the prepared polynomials; the layers of a process share one unless told.
        Raises ParameterError for another shape, more than 16 bits, or weights too large to hide.
        """
        return Prepared(modulus, shape, weights, parameter_set(parameters), cache)

    def respond(
        self, ch: Channel, prepared: Prepared, batch: int, progress: Progress | None = None
    ) -> Residues:
        """Answer the requests of one layer. Returns s, uint32 (batch, out_channels, out_height, out_width).

        Raises FramingError and CheckFailed for a request of another size or with values out of range.
        """
        with Answers(ch, InThread(Worker({"layer": prepared})), self._prg) as answers:
            s = self.answer(answers, "layer", prepared, batch, progress)
            answers.finish()
        return s

    def answer(
        self,
        answers: Answers,
        name: str,
        prepared: Prepared,
        batch: int,
        progress: Progress | None = None,
    ) -> Residues:
        """`respond` as part of a stream: s is complete once `answers.finish()` returned.

        `name` is the layer's at the stream's workers.
        """
        if prepared.modulus != self._modulus or prepared.parameters != self._parameters:
            raise ParameterError(
                f"the layer is prepared for {prepared.modulus} and {prepared.parameters.name}, "
                f"this session has {self._modulus} and {self._parameters.name}"
            )
        if self._public is None:
            raise ParameterError("setup comes before respond")
        return answers.answer(self._public, self._key, name, prepared, batch, progress)


class LinearReceiver:
    """Holds r, learns W r - s. One for a session and parameter set, with a key pair of its own."""

    def __init__(self, modulus: Modulus, parameters: str = B4096.name):
        self._modulus = modulus
        self._parameters = parameter_set(parameters)
        self._keys = receiver_backend(self._parameters, modulus.value)

    def setup(self, ch: Channel) -> None:
        """Send the public key, a seeded encryption of zero."""
        ch.send(self._keys.encrypt(np.zeros(self._parameters.degree, np.uint64)))

    def request(self, ch: Channel, shape: LinearShape, r: Residues, progress: Progress | None = None) -> None:
        """Send a layer's encrypted input mask r, uint32 residues (batch, in_channels, height, width)."""
        shape.check_input(r)
        plan = make_plan(shape, r.shape[0], self._parameters)
        done = 0
        for polynomials in encode_input(plan, r):
            for polynomial in polynomials:
                ch.send(self._keys.encrypt(polynomial))  # (1)
                done += 1
                if progress is not None:
                    progress(done, plan.requests)

    def receive(
        self, ch: Channel, shape: LinearShape, batch: int, progress: Progress | None = None
    ) -> Residues:
        """Returns W r - s, uint32 (batch, out_channels, out_height, out_width), for the oldest open request.

        Raises FramingError and CheckFailed for a response of another size or with values out of range.
        """
        plan = make_plan(shape, batch, self._parameters)
        share = np.empty((batch, *shape.output_shape), np.uint32)
        width = self._parameters.data_bits[0]
        done = 0
        for wave in plan.waves():
            for m in range(plan.output_blocks):
                for block in wave:
                    positions = plan.positions(block, m)
                    tail = packed_size(positions.size, width)
                    message = ch.recv(self._parameters.response_bytes + tail)  # (2)
                    values = self._keys.decrypt(message, positions)  # (3)
                    place(plan, block, m, values, share)
                    done += 1
                    if progress is not None:
                        progress(done, plan.responses)
        return share
