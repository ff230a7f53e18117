"""An emulated line between two processes of one machine, without root: a relay that holds bytes back.

            client  ⇄  relay  ⇄  server             two TCP connections over loopback

Each direction is a line of its own. A chunk of s bytes that the relay reads at time t leaves the line's near
end when the chunks before it have left, s / bandwidth later, and is handed over half a round trip after that:

    free    = max(free, t) + 8 s / bits_per_second
    due     = free + round_trip / 2

The times are absolute, so a chunk that is handed over late delays nothing after it. At most the bytes that
the line itself holds, and one MiB, wait in the relay; then it stops reading and the sender's TCP stops
sending, as on a long line. Not emulated: headers (the bandwidth is that of TCP payload, our 5-byte frames
included), loss, TCP's slow start, and the round trip that opening a connection takes. Both parties count
their own traffic, on their own channels: the relay is in nobody's numbers. It runs in the process that
measures, which otherwise waits.
"""

import ctypes
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from types import TracebackType

from circa.network import Network
from circa.transport import parse_address

__all__ = ["Line", "Link", "Schedule"]

SLICE = 0.001  # seconds of a line's bandwidth in one chunk: finer would cost processor time
WAITING = 1 << 20  # bytes that may wait for the line


class Schedule:
    """When a chunk reaches the far end of one direction. Not safe to use from several threads."""

    def __init__(self, line: Network):
        self._seconds_per_byte = 8 / line.bits_per_second
        self._delay = line.round_trip / 2
        self._free = 0.0

    def due(self, now: float, size: int) -> float:
        """Of a chunk of `size` bytes that is handed in at `now`."""
        self._free = max(self._free, now) + size * self._seconds_per_byte
        return self._free + self._delay


class Line:
    """One direction: bytes from `source` to `target`, as late as the line makes them."""

    def __init__(self, line: Network, source: socket.socket, target: socket.socket):
        self._source, self._target = source, target
        self._schedule = Schedule(line)
        bytes_per_second = line.bits_per_second / 8
        self._chunk = int(min(1 << 18, max(1460, SLICE * bytes_per_second)))
        self._limit = int(bytes_per_second * line.round_trip / 2) + WAITING
        self._queue: deque[tuple[float, bytes]] = deque()  # an empty chunk is the end
        self._held = 0
        self._change = threading.Condition()
        for work in (self._read, self._write):
            threading.Thread(target=work, name="circa-link", daemon=True).start()

    def _read(self) -> None:
        _wake_in_time()
        data = b"?"
        while data:
            with self._change:
                self._change.wait_for(lambda: self._held < self._limit)
            try:
                data = self._source.recv(self._chunk)
            except OSError:
                data = b""
            due = self._schedule.due(time.perf_counter(), len(data))
            with self._change:
                self._queue.append((due, data))
                self._held += len(data)
                self._change.notify_all()

    def _write(self) -> None:
        _wake_in_time()
        while True:
            with self._change:
                self._change.wait_for(lambda: self._queue)
                due, data = self._queue.popleft()
            if (left := due - time.perf_counter()) > 0:
                time.sleep(left)
            try:
                if not data:
                    self._target.shutdown(socket.SHUT_WR)
                    return
                self._target.sendall(data)
            except OSError:  # the reader went away: tell the writer, and let nothing more pile up
                with suppress(OSError):
                    self._source.shutdown(socket.SHUT_RDWR)
                data = b""
            with self._change:
                self._held -= len(data)
                self._change.notify_all()


class Link:
    """A relay to `target` ("host:port"): whoever connects to `address` talks to it over the line.

    The target is only looked for when somebody connects.
    """

    def __init__(self, line: Network, target: str):
        self._line, self._target = line, parse_address(target, 0)
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, name="circa-link", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"{host}:{port}"

    def close(self) -> None:
        """Break every connection and accept no more. May be called twice."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._listener.close()
        self._thread.join()
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def __enter__(self) -> "Link":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            self._sockets.append(near)
            try:
                far = socket.create_connection(self._target)
            except OSError:
                near.close()
                continue
            self._sockets.append(far)
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Line(self._line, near, far)
            Line(self._line, far, near)


def _wake_in_time() -> None:
    """Linux wakes a sleeping thread up to 50 µs late, to save power; a line of 1 ms would notice."""
    with suppress(OSError, AttributeError):
        set_timer_slack = 29
        ctypes.CDLL(None).prctl(set_timer_slack, ctypes.c_ulong(1))
