"""The first messages of a session: version, public description of the model, hash.

            client                                     server
 (1)   magic, version                    →
 (2)                                     ←   length, description (canonical JSON)
 (3)   SHA-256 of the description, k     →   compares; a difference ends the session

The description names operations, shapes, scales and windows, never a weight. The client may know the hash
that it expects (from whoever trained the model, say) and then refuses any other model before it does any
work. k is the parameter of the session's OT extensions (protocols/ot/softspoken.py), for the client to
choose by its line (`best_k`): it moves work against bytes and leaks nothing.
"""

import hashlib
import struct

from circa.protocols.channel import Channel
from circa.protocols.errors import FramingError
from circa.protocols.ot.softspoken import DEFAULT_K, MAX_K

from .description import announcement, from_json
from .errors import HandshakeError, ParameterError
from .program import Program

__all__ = ["CLIENT_BYTES", "LENGTH_BYTES", "PROTOCOL_VERSION", "client_handshake", "server_handshake"]

PROTOCOL_VERSION = 3  # changes with every change of the wire format
MAX_DESCRIPTION = 1 << 24  # bytes of JSON
_MAGIC = b"CIRCA\r\n\x00"
_HELLO = struct.Struct("<8sI")
_LENGTH = struct.Struct("<Q")
_CHOICE = struct.Struct("<32sB")
CLIENT_BYTES = _HELLO.size + _CHOICE.size  # (1) and (3)
LENGTH_BYTES = _LENGTH.size


def client_handshake(ch: Channel, expect: str | None = None, ot_k: int = DEFAULT_K) -> Program:
    """Returns the program that the server offers; `expect` is the SHA-256 in hex that it must have."""
    ch.send(_HELLO.pack(_MAGIC, PROTOCOL_VERSION))  # (1)
    (length,) = _LENGTH.unpack(ch.recv(_LENGTH.size))  # (2)
    if not 0 < length <= MAX_DESCRIPTION:
        raise FramingError(
            f"the server announces a description of {length} bytes; the limit is {MAX_DESCRIPTION}"
        )
    text = ch.recv(length)
    digest = hashlib.sha256(text)
    if expect is not None and digest.hexdigest() != expect.lower():
        raise HandshakeError(f"the server offers model {digest.hexdigest()[:16]}…, expected {expect[:16]}…")
    try:
        program = from_json(bytes(text))
    except ParameterError as error:
        raise HandshakeError(f"the server's description of the model is not valid: {error}") from error
    ch.send(_CHOICE.pack(digest.digest(), ot_k))  # (3)
    return program


def server_handshake(ch: Channel, program: Program) -> int:
    """Offer the program; returns k. Raises HandshakeError where the client speaks another version, wants a k
    that does not exist, or read another description.
    """
    magic, version = _HELLO.unpack(ch.recv(_HELLO.size))  # (1)
    if magic != _MAGIC:
        raise HandshakeError("the peer is not a Circa client")
    if version != PROTOCOL_VERSION:
        raise HandshakeError(f"the server speaks protocol version {PROTOCOL_VERSION}, the client {version}")
    text = announcement(program)
    ch.send(_LENGTH.pack(len(text)))  # (2)
    ch.send(text)
    digest, ot_k = _CHOICE.unpack(ch.recv(_CHOICE.size))  # (3)
    if digest != hashlib.sha256(text).digest():
        raise HandshakeError("the client holds another description of the model")
    if not 1 <= ot_k <= MAX_K:
        raise HandshakeError(f"the client wants OT extensions with k = {ot_k}; k is 1 to {MAX_K}")
    return int(ot_k)
