"""The emulated line: its law exactly, on a clock of its own; and real sockets, with generous bounds."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from circa.bench.link import Link, Schedule
from circa.network import Network, network


def test_a_chunk_takes_its_bits_over_the_bandwidth_and_half_a_round_trip():
    schedule = Schedule(Network("a", 8e6, 0.5))  # a byte a microsecond
    assert schedule.due(10.0, 1_000_000) == pytest.approx(11.25)


def test_chunks_wait_for_those_before_them_but_not_for_the_delay():
    schedule = Schedule(Network("a", 8e6, 0.5))
    dues = [schedule.due(10.0, 100_000) for _ in range(5)]
    assert dues == pytest.approx([10.35, 10.45, 10.55, 10.65, 10.75])


def test_an_idle_line_saves_nothing_up():
    schedule = Schedule(Network("a", 8e6, 0.0))
    schedule.due(0.0, 100_000)
    assert schedule.due(60.0, 100_000) == pytest.approx(60.1)


@contextmanager
def counting(line: Network | None) -> Iterator[tuple[socket.socket, list[bytes]]]:
    """A client's socket to a server that answers every 8-byte length and so many bytes with one byte; what
    it read is in the list.
    """
    got: list[bytes] = []

    def serve() -> None:
        with listener.accept()[0] as sock:
            while head := sock.recv(8, socket.MSG_WAITALL):
                got.append(sock.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
                sock.sendall(b"!")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with Link(line, target) as link, socket.create_connection(_split(link.address)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield sock, got
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""  # the end comes through, both ways
        thread.join(10)
        assert not thread.is_alive()


def exchange(sock: socket.socket, payload: bytes) -> float:
    start = time.perf_counter()
    sock.sendall(len(payload).to_bytes(8, "big") + payload)
    assert sock.recv(1) == b"!"
    return time.perf_counter() - start


@pytest.mark.parametrize(("line", "size"), [(network("wan"), 1 << 21), (network("lan"), 1 << 23)])
def test_a_transfer_takes_what_the_law_says(line, size):
    """Never less; more only by what the machine is busy, and the best of three is close."""
    payload = bytes(range(256)) * (size // 256)
    with counting(line) as (sock, got):
        seconds = [exchange(sock, payload) for _ in range(3)]
    assert got == [payload] * 3
    law = line.seconds(size + 8, 1, 1)
    assert law < min(seconds) < 1.3 * law


def test_a_round_trip_takes_the_round_trip():
    with counting(network("wan")) as (sock, _):
        seconds = [exchange(sock, b"x") for _ in range(3)]
    assert 0.04 < min(seconds) < 0.08  # one, not two


def test_the_sender_is_held_back_by_a_full_line():
    """The relay takes what the line holds and a little more; the rest stays with the sender."""
    slow = Network("slow", 8e5, 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with Link(slow, target) as link, socket.create_connection(_split(link.address)) as sock:
            sock.settimeout(1.0)
            taken = 0
            with suppress(TimeoutError):
                while taken < 1 << 25:
                    taken += sock.send(bytes(1 << 20))
    assert taken < 1 << 25  # what the relay and the kernel's buffers hold


def test_a_client_learns_that_there_is_no_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        Link(network("lan"), f"127.0.0.1:{port}") as link,
        socket.create_connection(_split(link.address)) as sock,
    ):
        sock.settimeout(10)
        assert sock.recv(1) == b""


def _split(address: str) -> tuple[str, int]:
    host, port = address.split(":")
    return host, int(port)
