"""Both roles in turn: messages, counters, processor time without waiting, failures of either role."""

import time

import pytest

from circa.bench.turns import Turns
from circa.protocols.channel import Traffic, memory_pair
from circa.protocols.errors import FramingError, PeerGone, ProtocolError


def work(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def ping(ch):
    ch.send(b"ab")
    ch.send(b"c")
    return ch.recv(3)


def pong(ch):
    message = ch.recv(2) + ch.recv(1)
    ch.send(message[::-1])
    return message


def test_messages_and_counters_are_those_of_a_channel():
    phase = Turns().run(ping, pong)
    assert (phase.sender, phase.receiver) == (b"cba", b"abc")
    assert phase.rounds == 1
    ends = memory_pair(1.0)
    ends[0].send(b"ab")
    ends[0].send(b"c")
    pong(ends[1])
    ends[0].recv(3)
    zero = Traffic()
    spent = phase.sender_traffic, phase.receiver_traffic
    assert spent == (ends[0].traffic.since(zero), ends[1].traffic.since(zero))


def test_both_may_send_first_and_counters_start_anew_with_each_run():
    def swap(ch):
        ch.send(b"x" * 7)
        return ch.recv(7)

    pair = Turns()
    first, second = pair.run(swap, swap), pair.run(swap, swap)
    assert first.sender_traffic == second.sender_traffic
    assert second.sender_traffic.bytes_sent == second.receiver_traffic.bytes_sent == 7


def test_time_is_work_and_never_waiting():
    def busy(ch):
        work(0.05)
        ch.send(b"a")
        ch.recv(1)

    def idle(ch):
        ch.recv(1)
        time.sleep(0.1)
        ch.send(b"b")

    phase = Turns().run(busy, idle)
    assert 0.05 <= phase.sender_seconds < 0.12  # it waits for 0.1
    assert phase.receiver_seconds < 0.05  # it waits for 0.05 and sleeps for 0.1
    assert phase.seconds == phase.sender_seconds + phase.receiver_seconds


def test_only_one_role_runs_at_a_time():
    running = []

    def role(ch):
        for _ in range(20):
            running.append(1)
            assert len(running) == 1
            time.sleep(0.0005)
            running.pop()
            ch.send(b"a")
            ch.recv(1)

    Turns().run(role, role)


@pytest.mark.parametrize("who", [0, 1])
def test_the_first_failure_is_raised(who):
    def fail(ch):
        raise KeyError("broken")

    roles = [lambda ch: ch.recv(1)] * 2
    roles[who] = fail
    with pytest.raises(KeyError if who == 0 else (KeyError, PeerGone)):
        Turns().run(*roles)


def test_two_that_wait_for_each_other_do_not_hang():
    with pytest.raises(PeerGone, match="sends nothing more"):
        Turns().run(lambda ch: ch.recv(1), lambda ch: ch.recv(1))


def test_a_message_of_another_size_and_one_that_nobody_reads():
    with pytest.raises(FramingError, match="expected a message of 2 bytes, got 1"):
        Turns().run(lambda ch: ch.send(b"a"), lambda ch: ch.recv(2))
    with pytest.raises(ProtocolError, match="never read"):
        Turns().run(lambda ch: ch.send(b"a"), lambda ch: None)
