"""TCP channels: framing, timeouts, signs of life, errors that reach the other side.

A frame is a 5-byte header (length, kind) and a payload. DATA frames carry protocol messages, and the reader
states the length that it expects. ALIVE frames go out while a party computes for long, so that silence for
the whole timeout means that the peer is gone, however slow a layer is. An ERROR frame carries one line of
text and ends the session.

`send` never waits for the peer: what the kernel does not take at once is drained by a thread, so two
parties that both send first do not lock, and a party computes while its last message is still leaving.
"""

import selectors
import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

from circa.protocols.channel import MAX_MESSAGE, TIMEOUT, Traffic
from circa.protocols.errors import FramingError, ParameterError, PeerGone

from .errors import RemoteError

__all__ = ["HEADER_BYTES", "TcpChannel", "connect", "parse_address"]

_HEADER = struct.Struct("<IB")
HEADER_BYTES = _HEADER.size
_DATA, _ERROR, _ALIVE = range(3)
_MAX_ERROR_TEXT = 1024


class TcpChannel:
    """A `circa.protocols.channel.Channel` over a connected socket, which it owns. One reader thread, any
    writers.
    """

    def __init__(self, sock: socket.socket, timeout: float = TIMEOUT):
        self.traffic = Traffic()
        self._sock, self._timeout = sock, timeout
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._readable = selectors.DefaultSelector()
        self._readable.register(sock, selectors.EVENT_READ)
        self._queue: deque[memoryview] = deque()  # what the kernel has not taken yet
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._failure: PeerGone | None = None
        self._closing = self._ended_with_error = False
        self._last_sent = time.monotonic()
        self._drainer = threading.Thread(target=self._drain, name="circa-drain", daemon=True)
        self._drainer.start()

    def send(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        if view.nbytes > MAX_MESSAGE:
            raise ParameterError(f"a message of {view.nbytes} bytes exceeds the limit of {MAX_MESSAGE}")
        self.traffic.count_send(view.nbytes)
        try:
            self._send_frame(_DATA, view)
        except PeerGone:
            self._read_last_words()  # the peer may have said why it went
            raise

    def send_error(self, text: str) -> None:
        """Tell the peer why the session ends; never raises."""
        with suppress(PeerGone, RemoteError):
            self._ended_with_error = True
            self._send_frame(_ERROR, memoryview(text.encode()[:_MAX_ERROR_TEXT]))

    def _send_frame(self, kind: int, payload: memoryview) -> None:
        header = _HEADER.pack(payload.nbytes, kind)
        with self._lock:
            if self._failure:
                raise self._failure
            if self._closing:
                raise PeerGone("the channel is closed on this side")
            taken = 0
            if not self._queue:
                try:
                    taken = self._sock.sendmsg([header, payload])
                except BlockingIOError:
                    pass
                except OSError as error:
                    raise self._fail(error) from error
            self._last_sent = time.monotonic()
            if taken < len(header):
                self._queue.append(memoryview(header)[taken:])
                taken = len(header)
            if taken - len(header) < payload.nbytes:
                self._queue.append(memoryview(bytes(payload[taken - len(header) :])))
            if self._queue:
                self._wake.notify()

    def _drain(self) -> None:
        pulse = self._timeout / 6
        with selectors.DefaultSelector() as writable:
            try:
                writable.register(self._sock, selectors.EVENT_WRITE)
            except (OSError, ValueError):
                return  # closed before the thread started
            while True:
                with self._lock:
                    if not self._queue and not self._closing:
                        self._wake.wait(pulse)
                        if (
                            not self._queue
                            and not self._closing
                            and time.monotonic() - self._last_sent >= pulse
                        ):
                            self._queue.append(memoryview(_HEADER.pack(0, _ALIVE)))
                            self._last_sent = time.monotonic()
                    if self._failure or (self._closing and not self._queue):
                        return
                    if not self._queue:
                        continue
                if not writable.select(self._timeout):
                    with self._lock:
                        self._fail(None)
                    return
                with self._lock:
                    try:
                        chunk = self._queue[0]
                        sent = self._sock.send(chunk)
                        self._last_sent = time.monotonic()
                    except BlockingIOError:
                        continue
                    except OSError as error:
                        self._fail(error)
                        return
                    if sent == chunk.nbytes:
                        self._queue.popleft()
                    else:
                        self._queue[0] = chunk[sent:]

    def _fail(self, error: OSError | None) -> PeerGone:
        """Remember that the line is dead; called with the lock held."""
        what = "the connection broke" if error else f"the peer took no data for {self._timeout:g} s"
        self._failure = PeerGone(what)
        self._queue.clear()
        return self._failure

    def recv(self, size: int) -> bytes:
        while True:
            length, kind = _HEADER.unpack(self._read(HEADER_BYTES))
            if kind == _ALIVE and length == 0:
                continue
            if kind == _ERROR and length <= _MAX_ERROR_TEXT:
                raise _remote_error(self._read(length))
            if kind != _DATA:
                raise FramingError(f"a frame of unknown kind {kind}: the peer does not speak this protocol")
            if length != size:
                raise FramingError(f"expected a message of {size} bytes, got {length}")
            payload = bytes(self._read(size))
            self.traffic.count_recv(size)
            return payload

    def _read(self, size: int) -> bytearray:
        buffer = bytearray(size)
        view, done = memoryview(buffer), 0
        while done < size:
            try:
                count = self._sock.recv_into(view[done:])
            except BlockingIOError:
                if not self._readable.select(self._timeout):
                    raise PeerGone(f"no sign of life from the peer for {self._timeout:g} s") from None
                continue
            except OSError as error:
                raise PeerGone("the connection broke") from error
            if count == 0:
                raise PeerGone("the peer closed the connection")
            done += count
        return buffer

    def _read_last_words(self) -> None:
        """Raise the error that the peer sent, if one is waiting. By the reading thread, between frames."""
        buffer = b""
        with suppress(OSError):
            while len(buffer) < 1 << 20 and (chunk := self._sock.recv(1 << 16)):
                buffer += chunk
        while len(buffer) >= HEADER_BYTES:
            length, kind = _HEADER.unpack_from(buffer)
            frame, buffer = buffer[HEADER_BYTES : HEADER_BYTES + length], buffer[HEADER_BYTES + length :]
            if kind == _ERROR and len(frame) == length <= _MAX_ERROR_TEXT:
                raise _remote_error(frame)

    def _linger(self) -> None:
        """Closing with unread data would reset the connection, and the peer would never read our error."""
        deadline = time.monotonic() + min(1.0, self._timeout)
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0 and self._readable.select(left):
                if not self._sock.recv(1 << 16):
                    return

    def close(self) -> None:
        """Let queued messages leave (for at most the timeout), then close the socket. May be called twice."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._wake.notify()
        self._drainer.join(self._timeout)
        if self._ended_with_error:
            self._linger()
        self._readable.close()
        self._sock.close()


def _remote_error(text: bytes | bytearray) -> RemoteError:
    return RemoteError("".join(c if c.isprintable() else "?" for c in text.decode(errors="replace")))


def parse_address(address: str, default_port: int) -> tuple[str, int]:
    """'host', 'host:port', ':port' or '[v6]:port' to (host, port)."""
    if not isinstance(address, str):
        raise ParameterError(f"an address is a text, host:port, not {address!r}")
    host, separator, port = address.rpartition(":")
    if not separator or address.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = address, ""
    if port and not (port.isdigit() and 0 < int(port) < 1 << 16):
        raise ParameterError(f"'{address}' has no valid port: write host:port with a port from 1 to 65535")
    return host.strip("[]") or "127.0.0.1", int(port) if port else default_port


def connect(host: str, port: int, timeout: float = TIMEOUT) -> TcpChannel:
    """Open a channel to a listening server. Raises PeerGone where nobody answers."""
    try:
        return TcpChannel(socket.create_connection((host, port), timeout), timeout)
    except TimeoutError:
        raise PeerGone(f"no answer from {host}:{port} within {timeout:g} s") from None
    except (socket.gaierror, UnicodeError):
        raise PeerGone(f"no host is called '{host}'") from None
    except OSError as error:
        raise PeerGone(
            f"nobody listens at {host}:{port} ({error.strerror}): is `circa serve` running?"
        ) from None
