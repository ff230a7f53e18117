"""The first messages: versions, hashes, hostile announcements."""

import hashlib
import struct
from collections.abc import Callable

import pytest

from circa.commands import MAX_IMAGES, Command, recv_command, send_command
from circa.description import model_hash, to_json
from circa.errors import CheckFailed, FramingError, HandshakeError
from circa.handshake import CLIENT_BYTES, PROTOCOL_VERSION, client_handshake, server_handshake
from circa.program import Input, Program, Scale
from circa.protocols.channel import Channel
from circa.protocols.shares import RING32
from harness import run_pair

PROGRAM = Program((Input("x", (), (2,), 8), Scale("double", (0,), (2,), 8, factor=2)), RING32)


def hello(version: int = PROTOCOL_VERSION) -> bytes:
    return struct.pack("<8sI", b"CIRCA\r\n\x00", version)


def choice(k: int) -> bytes:
    return hashlib.sha256(to_json(PROGRAM)).digest() + bytes([k])


def test_both_end_with_the_same_program() -> None:
    program, _, wire = run_pair(client_handshake, lambda ch: server_handshake(ch, PROGRAM))
    assert program == PROGRAM
    assert wire.rounds == 1
    assert wire.left.bytes_sent == CLIENT_BYTES == 12 + 33
    assert wire.right.bytes_sent == 8 + len(to_json(PROGRAM))


@pytest.mark.parametrize("k", range(1, 9))
def test_the_client_proposes_k(k: int) -> None:
    _, agreed, _ = run_pair(lambda ch: client_handshake(ch, ot_k=k), lambda ch: server_handshake(ch, PROGRAM))
    assert agreed == k


def test_the_expected_hash_is_insisted_on() -> None:
    expected = model_hash(PROGRAM)
    run_pair(lambda ch: client_handshake(ch, expected.upper()), lambda ch: server_handshake(ch, PROGRAM))
    with pytest.raises(HandshakeError, match="the server offers model"):
        run_pair(lambda ch: client_handshake(ch, "0" * 64), lambda ch: server_handshake(ch, PROGRAM))


@pytest.mark.parametrize(
    ("messages", "error", "text"),
    [
        ([b"GET / HTTP/1"], HandshakeError, "not a Circa client"),
        ([b"GET /"], FramingError, "expected a message of 12 bytes"),
        ([hello(PROTOCOL_VERSION + 1)], HandshakeError, f"the client {PROTOCOL_VERSION + 1}"),
        ([hello(), choice(0)], HandshakeError, "k = 0; k is 1 to 8"),
        ([hello(), choice(9)], HandshakeError, "k = 9; k is 1 to 8"),
        ([hello(), bytes(32)], FramingError, "expected a message of 33 bytes"),
        ([hello(), bytes(32) + b"\x06"], HandshakeError, "another description"),
    ],
)
def test_hostile_clients(messages: list[bytes], error: type[Exception], text: str) -> None:
    def client(ch: Channel) -> None:
        for message in messages:
            ch.send(message)

    with pytest.raises(error, match=text):
        run_pair(client, lambda ch: server_handshake(ch, PROGRAM))


def announce(length: int, text: bytes) -> Callable[[Channel], None]:
    def server(ch: Channel) -> None:
        ch.recv(12)
        ch.send(struct.pack("<Q", length))
        ch.send(text)

    return server


@pytest.mark.parametrize(
    ("server", "error"),
    [
        (announce(1 << 40, b""), FramingError),
        (announce(0, b""), FramingError),
        (announce(4, b"five!"), FramingError),
        (announce(2, b"{}"), HandshakeError),
        (announce(4, b"\xff\xff\xff\xff"), HandshakeError),
    ],
)
def test_hostile_servers(server: Callable[[Channel], None], error: type[Exception]) -> None:
    with pytest.raises(error):
        run_pair(client_handshake, server)


def test_the_hash_covers_the_description() -> None:
    assert model_hash(PROGRAM) == hashlib.sha256(to_json(PROGRAM)).hexdigest()
    other = Program(PROGRAM.operations, RING32, labels=("a", "b"))
    assert model_hash(other) != model_hash(PROGRAM)


@pytest.mark.parametrize("command", list(Command))
def test_commands_travel(command: Command) -> None:
    count = 0 if command in (Command.CLOSE, Command.STOCK) else MAX_IMAGES
    _, received, _ = run_pair(lambda ch: send_command(ch, command, count), recv_command)
    assert received == (command, count)


@pytest.mark.parametrize(
    ("opcode", "count"), [(3, 1), (4, 0), (0, 1), (1, 0), (2, 0), (1, MAX_IMAGES + 1), (2, 2**32 - 1)]
)
def test_bad_commands(opcode: int, count: int) -> None:
    with pytest.raises(CheckFailed):
        run_pair(lambda ch: ch.send(struct.pack("<II", opcode, count)), recv_command)
