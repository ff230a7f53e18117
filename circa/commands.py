"""What a client asks of a server after the handshake: two words, opcode and number of images.

    PREPARE n   both run the offline phase for n images and stock the material
    INFER n     both take the n oldest units of their stock and run the online phase
    CLOSE 0     the session ends

The server checks every number before it works on it. Stocks are first in, first out on both sides and every
command is carried out by both, so they agree without talking about it.
"""

import struct
from enum import IntEnum

from circa.protocols.channel import Channel
from circa.protocols.errors import CheckFailed

__all__ = ["COMMAND_BYTES", "MAX_IMAGES", "Command", "recv_command", "send_command"]

MAX_IMAGES = 1 << 12  # in one command
_COMMAND = struct.Struct("<II")
COMMAND_BYTES = _COMMAND.size


class Command(IntEnum):
    CLOSE = 0
    PREPARE = 1
    INFER = 2


def send_command(ch: Channel, command: Command, count: int = 0) -> None:
    ch.send(_COMMAND.pack(command, count))


def recv_command(ch: Channel) -> tuple[Command, int]:
    """Raises CheckFailed for an unknown opcode or a number of images outside [1, MAX_IMAGES]."""
    opcode, count = _COMMAND.unpack(ch.recv(_COMMAND.size))
    if opcode == Command.CLOSE and count == 0:
        return Command.CLOSE, 0
    if opcode not in (Command.PREPARE, Command.INFER) or not 1 <= count <= MAX_IMAGES:
        raise CheckFailed(
            f"command {opcode} for {count} images: PREPARE or INFER take 1 to {MAX_IMAGES} images"
        )
    return Command(opcode), count
