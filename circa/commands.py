"""What a client asks of a server after the handshake: two words, opcode and number of images.

    PREPARE n   the server answers; if it accepts, both run the offline phase for n images and stock them
    STOCK 0     the server answers as to PREPARE, and nothing else happens
    INFER n     both take the n oldest units of their stock and run the online phase
    CLOSE 0     the session ends

The server checks every number before it works on it. Stocks are first in, first out on both sides and every
command is carried out by both, so they agree without talking about it. The answer: a verdict, images and
bytes of this session's stock as the server holds it, and the server's public bound for one client, in images
and in bytes. A refusal leaves the session and its stock as they were.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from circa.protocols.channel import Channel
from circa.protocols.errors import CheckFailed

from .stock import Limit

__all__ = [
    "ANSWER_BYTES",
    "COMMAND_BYTES",
    "MAX_IMAGES",
    "Answer",
    "Command",
    "Verdict",
    "recv_answer",
    "recv_command",
    "send_answer",
    "send_command",
]

MAX_IMAGES = 1 << 12  # in one command
_COMMAND = struct.Struct("<II")
COMMAND_BYTES = _COMMAND.size
_ANSWER = struct.Struct("<IIIQQ")
ANSWER_BYTES = _ANSWER.size


class Command(IntEnum):
    CLOSE = 0
    PREPARE = 1
    INFER = 2
    STOCK = 3


class Verdict(IntEnum):
    """Of a server on a number of images to prepare."""

    ACCEPTED = 0
    TOO_MANY_IMAGES = 1
    TOO_MANY_BYTES = 2


@dataclass(frozen=True)
class Answer:
    """To PREPARE and STOCK; the stock is that of the asking session alone."""

    verdict: Verdict
    images: int
    bytes: int
    limit: Limit


def send_command(ch: Channel, command: Command, count: int = 0) -> None:
    ch.send(_COMMAND.pack(command, count))


def recv_command(ch: Channel) -> tuple[Command, int]:
    """Raises CheckFailed for an unknown opcode or a number of images outside [1, MAX_IMAGES]."""
    opcode, count = _COMMAND.unpack(ch.recv(_COMMAND.size))
    if opcode in (Command.CLOSE, Command.STOCK) and count == 0:
        return Command(opcode), 0
    if opcode not in (Command.PREPARE, Command.INFER) or not 1 <= count <= MAX_IMAGES:
        raise CheckFailed(
            f"command {opcode} for {count} images: PREPARE or INFER take 1 to {MAX_IMAGES} images"
        )
    return Command(opcode), count


def send_answer(ch: Channel, answer: Answer) -> None:
    limit = answer.limit
    ch.send(_ANSWER.pack(answer.verdict, answer.images, limit.images, answer.bytes, limit.bytes))


def recv_answer(ch: Channel, stocked: int) -> Answer:
    """Raises CheckFailed for an unknown verdict, or another number of images than the `stocked` here."""
    verdict, images, most_images, size, most_bytes = _ANSWER.unpack(ch.recv(_ANSWER.size))
    if verdict not in list(Verdict):
        raise CheckFailed(f"the server answered with verdict {verdict}, which does not exist")
    if images != stocked:
        raise CheckFailed(f"the server has material for {images} images in stock, the client for {stocked}")
    return Answer(Verdict(verdict), images, size, Limit(most_images, most_bytes))
