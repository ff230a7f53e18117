"""The client's half: `with circa.connect("host:port") as session: logits = session.infer(x)`."""

from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from circa.protocols.channel import TIMEOUT, Channel
from circa.protocols.errors import CircaError
from circa.protocols.ot.choice import best_k
from circa.protocols.prg import Prg
from circa.protocols.relu.material import Stock

from .arguments import LONGEST, number, whole
from .commands import MAX_IMAGES, Answer, Command, Verdict, recv_answer, send_command
from .description import model_hash
from .errors import InputError, ParameterError, StockRefused
from .fixed import as_array, decode, encode_input
from .handshake import client_handshake
from .network import NETWORKS, Network
from .network import network as named
from .offline import ClientMaterial, ClientParty, Progress
from .online import client_online
from .program import Program
from .report import Report
from .stock import StockLevel, batches, image_bytes
from .transport import connect as open_channel
from .transport import parse_address

__all__ = ["DEFAULT_PORT", "Session", "connect"]

DEFAULT_PORT = 7766


def connect(
    address: str,
    *,
    timeout: float = TIMEOUT,
    expect: str | None = None,
    keep_shares: bool = False,
    report: Report | None = None,
    network: str | Network = "lan",
) -> "Session":
    """Open a session with a server started by `circa serve` or `circa.serve`.

    Args:
        address: "host:port"; the port defaults to 7766.
        timeout: seconds of silence after which the server counts as gone.
        expect: the model's hash (SHA-256, hex). Any other model is refused.
        keep_shares: keep the client's shares of every activation's input, for comparison with the simulation.
        network: the line to the server, loopback, lan or wan: it decides how much work the OT extensions
            spend to save bytes (protocols/ot/choice.py).
        report: write into this one, which may watch the process's memory, instead of a new one.

    Raises:
        ParameterError: an argument is out of range, or of another type.
        PeerGone: nobody listens there, or the server vanished.
        HandshakeError: another protocol version, or another model than expected.
    """
    line = network if isinstance(network, Network) else named(network)
    timeout = number("timeout (seconds)", timeout, 0.001, LONGEST)
    if not isinstance(expect, str | None):
        raise ParameterError(f"expect takes a model's hash, 64 hexadecimal digits, not {expect!r}")
    host, port = parse_address(address, DEFAULT_PORT)
    channel = open_channel(host, port, timeout)
    try:
        return Session(channel, expect=expect, keep_shares=keep_shares, report=report, network=line)
    except BaseException:
        channel.close()
        raise


class Session:
    """One session with one server. Not safe to use from several threads at once.

    Attributes:
        program: what the server revealed of its model: operations, shapes, scales, windows.
        ot_k: the parameter of the session's OT extensions, from the network given to `connect`.
        report: time, bytes and rounds by operation and phase, as the client measured them.
        last_shares: with `keep_shares`, the client's shares of every activation's input in the last
        inference,
            by the activation's name; uint32 (images, channels, positions).
    """

    def __init__(
        self,
        channel: Channel,
        *,
        expect: str | None = None,
        keep_shares: bool = False,
        report: Report | None = None,
        network: Network = NETWORKS["lan"],
    ):
        self._channel = channel
        self._failed = False
        self.report = report or Report()
        self.ot_k = best_k(network.bits_per_second)
        with self.report.measure(channel, "session", "setup", "offline"):
            self.program: Program = client_handshake(channel, expect, self.ot_k)
        self.report.order = tuple(op.name for op in self.program.operations)
        self.model_hash = model_hash(self.program)
        self.last_shares: dict[str, NDArray[np.uint32]] = {}
        self._keep_shares = keep_shares
        self._party = ClientParty(channel, self.program, self.report, Prg.from_os(), self.ot_k, keep_shares)
        self._stock: Stock[ClientMaterial] = Stock()

    @property
    def prepared(self) -> int:
        """Images for which single-use material is in stock."""
        return len(self._stock)

    def prepare(self, images: int, progress: Progress | None = None) -> None:
        """Run the offline phase for `images` images and stock the material. `progress(operation, done,
        total)`.

        Many at once take fewer bytes an image than one at a time: they share polynomials. Large numbers are
        made in several passes of bounded memory (circa/stock.py).

        Raises ParameterError for a number out of range, and StockRefused where the server's bound on a
        client's stock does not allow it: then nothing was made, and the session goes on.
        """
        count = whole("images", images, 1, MAX_IMAGES)
        self._agree(self._ask(Command.PREPARE, count), count)
        sizes = batches(self.program, count)
        with self._ending_on_failure():
            for i, size in enumerate(sizes):
                material = self._party.offline(size, _part_of(progress, i, len(sizes)))
                self._stock.add(material, size)
                self.report.store(self._stock.nbytes)

    def stock(self) -> StockLevel:
        """What is in stock for this session at both parties, and the server's bound for one client."""
        answer = self._ask(Command.STOCK, 0)
        return StockLevel(answer.images, self._stock.nbytes, answer.bytes, answer.limit)

    def _ask(self, command: Command, images: int) -> Answer:
        with (
            self._ending_on_failure(),
            self.report.measure(self._channel, "session", "setup", "offline"),
        ):
            send_command(self._channel, command, images)
            return recv_answer(self._channel, len(self._stock))

    def _agree(self, answer: Answer, images: int) -> None:
        if answer.verdict is Verdict.ACCEPTED:
            return
        limit = answer.limit
        most, size = f"{limit.images:,} images", ""
        if answer.verdict is Verdict.TOO_MANY_BYTES:
            each = image_bytes(self.program).server
            most, size = f"{limit.bytes:,} bytes", f" of {each:,} bytes each"
        raise StockRefused(
            f"the server stocks at most {most} for one client, all its sessions together; {answer.images:,}"
            f" images are in stock here, and {images:,} more{size} were asked for: prepare fewer, or use some"
            " first"
        )

    def infer(self, x: Any, progress: Progress | None = None) -> torch.Tensor:
        """The model's output for a batch, (images, *output shape), float64.

        x is a float tensor, array or nested list of shape (images, *input shape), or one image without the
        first axis (the result then has none either). Takes material from the stock and prepares what is
        missing. A batch is one online pass.

        Raises InputError, before anything is sent, where x has another shape, another dtype than a real
        floating one, or a value that is not finite or outside the range that the input's encoding can hold.
        """
        array = as_array(x)
        single = array.shape == self.program.input.shape
        residues = encode_input(self.program, array[None] if single else array)
        images = residues.shape[0]
        if not 1 <= images <= MAX_IMAGES:
            raise InputError(f"a batch holds 1 to {MAX_IMAGES} images, not {images}")
        if images > len(self._stock):
            self.prepare(images - len(self._stock), progress)
        with self._ending_on_failure():
            with self.report.measure(self._channel, "session", "setup", "online"):
                send_command(self._channel, Command.INFER, images)
            material = self._stock.take(images)
            result = client_online(self._party, material, residues)
        if self._keep_shares:
            self._remember(material)
        logits = torch.from_numpy(decode(self.program, result))
        return logits[0] if single else logits

    def close(self) -> None:
        """End the session; unused material is dropped on both sides. May be called twice."""
        if not self._failed:
            with suppress(CircaError):  # the server may be gone already: then there is nobody left to tell
                send_command(self._channel, Command.CLOSE)
        self._failed = True
        self._channel.close()

    def _remember(self, material: ClientMaterial) -> None:
        activations = [op.activation(self.program.modulus) for op in self.program.activations]
        self.last_shares = {
            op.name: share.reshape(-1, act.channels, act.positions)
            for op, act, share in zip(self.program.activations, activations, material.shares, strict=True)
        }

    def _ending_on_failure(self) -> "_EndOnFailure":
        if self._failed:
            raise ParameterError("the session has ended: open a new one with circa.connect")
        return _EndOnFailure(self)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _part_of(progress: Progress | None, i: int, parts: int) -> Progress:
    """The i-th of several passes as a part of the whole."""

    def report(operation: str, done: int, total: int) -> None:
        if progress is not None:
            progress(operation, i * total + done, parts * total)

    return report


class _EndOnFailure:
    """A failure between two messages leaves the parties out of step: the session must not go on."""

    def __init__(self, session: Session):
        self._session = session

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is not None:
            self._session._failed = True
            self._session._channel.close()
