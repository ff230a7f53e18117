"""The wire: two methods, byte and round counters, an in-memory pair.

Nothing on the wire describes itself. The reader states the size it expects; a message of any other size is a
`FramingError`, raised before the payload is read, so a peer can neither make us allocate nor misalign the
stream. Sends never wait for the peer (a queue or a thread behind them drains), so two parties that both send
first do not lock.
"""

import queue
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .errors import FramingError, ParameterError, PeerGone

__all__ = [
    "MAX_MESSAGE",
    "TIMEOUT",
    "Channel",
    "MemoryChannel",
    "Traffic",
    "memory_pair",
    "recv_array",
    "send_array",
]

MAX_MESSAGE = 1 << 31  # bytes; a reader that expects more is a bug, a writer that sends more is refused
TIMEOUT = 30.0  # seconds without a sign of life from the peer

Messages = queue.Queue[bytes | None]  # None: the other end closed


@dataclass
class Traffic:
    """What one end of a channel has moved. `rounds` counts the turns from sending to receiving: round trips.

    Payload bytes only; framing (5 bytes a message on TCP) and TLS records come on top.
    """

    bytes_sent: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    rounds: int = 0
    sending: bool = False

    def count_send(self, size: int) -> None:
        self.bytes_sent += size
        self.messages_sent += 1
        self.sending = True

    def count_recv(self, size: int) -> None:
        self.bytes_received += size
        self.rounds += self.sending
        self.sending = False

    def copy(self) -> "Traffic":
        return replace(self)

    def since(self, start: "Traffic") -> "Traffic":
        """The difference to an earlier copy."""
        return Traffic(
            self.bytes_sent - start.bytes_sent,
            self.bytes_received - start.bytes_received,
            self.messages_sent - start.messages_sent,
            self.rounds - start.rounds,
        )


@runtime_checkable
class Channel(Protocol):
    """A reliable, ordered line of messages to one peer."""

    @property
    def traffic(self) -> Traffic: ...

    def send(self, data: Any) -> None:
        """Queue one message (any bytes-like object) and return; the data may be changed afterwards."""
        ...

    def recv(self, size: int) -> bytes:
        """Wait for the next message, which must have exactly `size` bytes.

        Raises FramingError for another size and PeerGone when the peer closed or stayed silent.
        """
        ...

    def close(self) -> None: ...


def send_array(ch: Channel, array: NDArray[Any]) -> None:
    """Send an array's bytes, little-endian, C order; neither dtype nor shape travels."""
    ch.send(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def recv_array(ch: Channel, dtype: DTypeLike, shape: int | Sequence[int]) -> NDArray[Any]:
    """Receive an array whose dtype and shape the reader knows. The result is read-only."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return np.frombuffer(ch.recv(size), dtype).reshape(shape)


class MemoryChannel:
    """One end of an in-process pair, with the counters of TCP; `sent` keeps the messages for tests."""

    def __init__(self, inbox: Messages, outbox: Messages, timeout: float):
        self.traffic = Traffic()
        self.sent: deque[bytes] | None = None
        self._inbox, self._outbox, self._timeout = inbox, outbox, timeout
        self._closed = False

    def record(self) -> None:
        """Keep a copy of every message sent from now on in `sent`."""
        self.sent = deque()

    def send(self, data: Any) -> None:
        message = bytes(data)
        if len(message) > MAX_MESSAGE:
            raise ParameterError(f"a message of {len(message)} bytes exceeds the limit of {MAX_MESSAGE}")
        if self.sent is not None:
            self.sent.append(message)
        self.traffic.count_send(len(message))
        self._outbox.put(message)

    def recv(self, size: int) -> bytes:
        try:
            message = self._inbox.get(timeout=self._timeout)
        except queue.Empty:
            raise PeerGone(f"no message from the peer for {self._timeout:g} s") from None
        if message is None:
            self._inbox.put(None)
            raise PeerGone("the peer closed the channel")
        if len(message) != size:
            raise FramingError(f"expected a message of {size} bytes, got {len(message)}")
        self.traffic.count_recv(size)
        return message

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._outbox.put(None)


def memory_pair(timeout: float = TIMEOUT) -> tuple[MemoryChannel, MemoryChannel]:
    """Two connected ends in one process."""
    a: Messages = queue.Queue()
    b: Messages = queue.Queue()
    return MemoryChannel(a, b, timeout), MemoryChannel(b, a, timeout)
