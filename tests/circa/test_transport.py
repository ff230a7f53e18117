"""TCP channels: framing, timeouts, signs of life, errors that reach the peer."""

import socket
import struct
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from circa.errors import FramingError, ParameterError, PeerGone, RemoteError
from circa.protocols.channel import Channel, recv_array, send_array
from circa.transport import HEADER_BYTES, TcpChannel, connect, parse_address

TIMEOUT = 0.5


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        left = socket.create_connection(listener.getsockname())
        right, _ = listener.accept()
    yield left, right
    left.close()
    right.close()


@pytest.fixture
def pair(sockets: tuple[socket.socket, socket.socket]) -> Iterator[tuple[TcpChannel, TcpChannel]]:
    ends = TcpChannel(sockets[0], TIMEOUT), TcpChannel(sockets[1], TIMEOUT)
    yield ends
    for end in ends:
        end.close()


def test_messages_arrive_whole_and_are_counted(pair: tuple[TcpChannel, TcpChannel]) -> None:
    left, right = pair
    assert isinstance(left, Channel)
    sent = np.arange(3_000_000, dtype=np.uint32)  # more than the kernel's buffers hold
    send_array(left, sent)
    send_array(left, sent[:1])
    assert (recv_array(right, np.uint32, sent.shape) == sent).all()
    send_array(right, sent[:2])
    assert recv_array(right, np.uint32, 1)[0] == 0
    recv_array(left, np.uint32, 2)
    assert (left.traffic.bytes_sent, left.traffic.bytes_received) == (12_000_004, 8)
    assert (left.traffic.rounds, right.traffic.rounds) == (1, 1)


def test_both_may_send_first(pair: tuple[TcpChannel, TcpChannel]) -> None:
    big = np.zeros(20_000_000, np.uint8)
    for end in pair:
        send_array(end, big)
    for end in pair:
        assert recv_array(end, np.uint8, big.shape).size == big.size


def test_the_caller_may_change_what_it_sent(pair: tuple[TcpChannel, TcpChannel]) -> None:
    data = np.ones(20_000_000, np.uint8)
    send_array(pair[0], data)
    data[:] = 2
    assert recv_array(pair[1], np.uint8, data.shape).max() == 1


@pytest.mark.parametrize("expected", [3, 5, 0])
def test_a_message_of_another_size_is_refused(pair: tuple[TcpChannel, TcpChannel], expected: int) -> None:
    pair[0].send(b"four")
    with pytest.raises(FramingError, match=f"expected a message of {expected} bytes, got 4"):
        pair[1].recv(expected)


def test_silence_for_the_timeout_is_an_error(sockets: tuple[socket.socket, socket.socket]) -> None:
    channel = TcpChannel(sockets[0], TIMEOUT)
    with pytest.raises(PeerGone, match="no sign of life"):
        channel.recv(1)
    channel.close()


def test_a_peer_that_computes_for_long_is_not_gone(pair: tuple[TcpChannel, TcpChannel]) -> None:
    answer = threading.Timer(3 * TIMEOUT, lambda: pair[1].send(b"done"))
    answer.start()
    assert pair[0].recv(4) == b"done"
    assert pair[0].traffic.bytes_received == 4


def test_a_closed_connection_is_an_error(pair: tuple[TcpChannel, TcpChannel]) -> None:
    pair[1].close()
    with pytest.raises(PeerGone, match="closed the connection"):
        pair[0].recv(1)
    with pytest.raises(PeerGone, match="closed on this side"):
        pair[1].send(b"x")


def test_what_was_queued_leaves_before_the_close(pair: tuple[TcpChannel, TcpChannel]) -> None:
    big = np.arange(20_000_000, dtype=np.uint8)
    send_array(pair[0], big)
    closer = threading.Thread(target=pair[0].close)
    closer.start()
    assert (recv_array(pair[1], np.uint8, big.shape) == big).all()
    closer.join()


def test_an_error_reaches_the_peer_as_one_printable_line(pair: tuple[TcpChannel, TcpChannel]) -> None:
    pair[0].send_error("no such model\x1b[2J")
    with pytest.raises(RemoteError, match=r"^no such model\?\[2J$"):
        pair[1].recv(1)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (struct.pack("<IB", 4, 9), FramingError),  # unknown kind
        (struct.pack("<IB", 1 << 31, 1), FramingError),  # an error text that is too long
        (struct.pack("<IB", 1 << 31, 0), FramingError),  # a huge announcement: refused, not allocated
        (struct.pack("<IB", 4, 2), FramingError),  # a sign of life with a payload
        (struct.pack("<IB", 4, 0) + b"ab", PeerGone),  # cut off
        (b"\x00\x00", PeerGone),
    ],
)
def test_malformed_frames(
    sockets: tuple[socket.socket, socket.socket], frame: bytes, error: type[Exception]
) -> None:
    channel = TcpChannel(sockets[0], TIMEOUT)
    sockets[1].sendall(frame)
    sockets[1].close()
    with pytest.raises(error):
        channel.recv(4)
    channel.close()


def test_header_size_is_as_documented() -> None:
    assert HEADER_BYTES == 5


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(PeerGone, match="is `circa serve` running"):
        connect("127.0.0.1", port, TIMEOUT)


@pytest.mark.parametrize(
    ("address", "parsed"),
    [
        ("host", ("host", 7)),
        ("host:80", ("host", 80)),
        (":80", ("127.0.0.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("::1", ("::1", 7)),
    ],
)
def test_addresses(address: str, parsed: tuple[str, int]) -> None:
    assert parse_address(address, 7) == parsed


@pytest.mark.parametrize("address", ["host:http", "host:0", "host:65536", "host:-1"])
def test_bad_addresses(address: str) -> None:
    with pytest.raises(ParameterError, match="no valid port"):
        parse_address(address, 7)


def test_a_host_that_no_name_can_be() -> None:
    with pytest.raises(PeerGone, match=r"no host is called 'a\.\.b'"):
        connect("a..b", 7)
