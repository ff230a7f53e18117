"""The in-memory wire: sizes, order, counters, and a peer that is gone."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from circa.protocols import channel
from circa.protocols.channel import Channel, Traffic, memory_pair, recv_array, send_array
from circa.protocols.errors import FramingError, ParameterError, PeerGone
from harness import run_pair

DTYPES = [np.uint8, np.uint16, np.uint32, np.uint64, np.int64]


@given(hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=1, max_dims=3, min_side=0)))
def test_an_array_arrives_as_it_was_sent(array):
    a, b = memory_pair()
    send_array(a, array)
    got = recv_array(b, array.dtype, array.shape)
    assert got.dtype == array.dtype
    assert np.array_equal(got, array)


def test_slices_are_sent_in_c_order():
    array = np.arange(60, dtype=np.uint32).reshape(3, 4, 5)
    for view in (array[:, ::2], array.transpose(2, 0, 1), array[..., 1]):
        a, b = memory_pair()
        send_array(a, view)
        assert np.array_equal(recv_array(b, np.uint32, view.shape), view)


def test_what_was_sent_may_be_changed_afterwards():
    a, b = memory_pair()
    array = np.ones(4, np.uint8)
    send_array(a, array)
    array[:] = 2
    assert recv_array(b, np.uint8, 4).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("sent", [0, 15, 17, 1024])
def test_a_message_of_another_size_is_refused(sent):
    a, b = memory_pair()
    a.send(bytes(sent))
    with pytest.raises(FramingError, match=f"expected a message of 16 bytes, got {sent}"):
        b.recv(16)
    assert b.traffic.bytes_received == 0


def test_messages_keep_their_order_and_their_borders():
    a, b = memory_pair()
    for message in (b"abc", b"", b"de"):
        a.send(message)
    assert [b.recv(size) for size in (3, 0, 2)] == [b"abc", b"", b"de"]


def test_a_message_above_the_limit_is_refused_before_it_is_queued(monkeypatch):
    monkeypatch.setattr(channel, "MAX_MESSAGE", 100)
    a, b = memory_pair(timeout=0.05)
    a.send(bytes(100))
    with pytest.raises(ParameterError, match="101 bytes exceeds the limit of 100"):
        a.send(bytes(101))
    assert b.recv(100) == bytes(100)
    assert a.traffic.bytes_sent == 100


def test_a_silent_peer_is_gone_after_the_timeout():
    a, _ = memory_pair(timeout=0.05)
    start = time.monotonic()
    with pytest.raises(PeerGone, match=r"no message from the peer for 0\.05 s"):
        a.recv(1)
    assert 0.04 < time.monotonic() - start < 5


def test_a_closed_channel_gives_what_was_sent_and_then_fails_every_time():
    a, b = memory_pair()
    a.send(b"last")
    a.close()
    a.close()
    assert b.recv(4) == b"last"
    for _ in range(2):
        with pytest.raises(PeerGone, match="closed"):
            b.recv(1)


def test_counters():
    """A round is a turn from sending to receiving: two messages out, one back, and again, are two."""

    def left(ch):
        for _ in range(2):
            ch.send(bytes(10))
            ch.send(bytes(5))
            ch.recv(3)
        ch.recv(3)

    def right(ch):
        for _ in range(2):
            ch.recv(10)
            ch.recv(5)
            ch.send(bytes(3))
        ch.send(bytes(3))

    _, _, wire = run_pair(left, right)
    assert wire.left == Traffic(bytes_sent=30, bytes_received=9, messages_sent=4, rounds=2)
    assert (wire.right.bytes_sent, wire.right.bytes_received, wire.right.rounds) == (9, 30, 1)
    assert wire.left_sent == [bytes(10), bytes(5)] * 2
    assert wire.rounds == 2


def test_both_may_send_first():
    def party(ch):
        ch.send(bytes(1 << 20))
        return ch.recv(1 << 20)

    left, right, wire = run_pair(party, party)
    assert left == right == bytes(1 << 20)
    assert wire.rounds == 1


def test_since_is_the_difference_to_a_copy():
    traffic = Traffic()
    traffic.count_send(7)
    traffic.count_recv(2)
    start = traffic.copy()
    traffic.count_send(3)
    traffic.count_recv(11)
    assert traffic.since(start) == Traffic(bytes_sent=3, bytes_received=11, messages_sent=1, rounds=1)
    assert (start.bytes_sent, start.messages_sent) == (7, 1)


def test_a_memory_channel_is_a_channel():
    assert all(isinstance(end, Channel) for end in memory_pair())


def test_run_pair_raises_the_first_failure_of_either_role():
    def fails(ch):
        raise ParameterError("mine")

    for left, right in ((fails, lambda ch: ch.recv(1)), (lambda ch: ch.recv(1), fails)):
        with pytest.raises(ParameterError, match="mine"):
            run_pair(left, right)
