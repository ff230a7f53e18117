"""IKNP: the relation, costs, what the wire shows, and a peer that does not keep to the protocol."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import check_baseline

from circa.protocols.channel import memory_pair
from circa.protocols.errors import CheckFailed, FramingError, ParameterError, PeerGone
from circa.protocols.ot import iknp, setup_pair, setup_receiver, setup_sender
from circa.protocols.prg import Prg
from harness import run_pair

SENDER, RECEIVER = b"sender seed 0016", b"receiver seed 16"
KEYS = Prg(b"base OT keys 016").bytes(128 * 2 * 16).reshape(128, 2, 16)
DELTA = Prg(b"delta of a test.").bits(128) | (np.arange(128) == 0).astype(np.uint8)


def extenders(timeout=20.0):
    """A sender and a receiver with given base OT keys, and their channels; one thread may run both."""
    left, right = memory_pair(timeout)
    left.record(), right.record()
    sender = iknp.IknpSender(left, DELTA, KEYS[np.arange(128), DELTA])
    return sender, iknp.IknpReceiver(right, KEYS), left, right


def extend(sender, receiver, choices):
    received = receiver.extend(choices)
    return sender.extend(choices.size), received


def holds(sent, received):
    return (received.M ^ received.choices[:, None] * sent.delta == sent.K).all()


def whole(choices):
    """Setup and one extension: left sends COTs, right receives."""
    return run_pair(
        lambda ch: setup_sender(ch, Prg(SENDER)).extend(choices.size),
        lambda ch: setup_receiver(ch, Prg(RECEIVER)).extend(choices),
    )


def test_relation_after_real_base_ots():
    choices = Prg(b"choices of test.").bits(1000)
    sent, received, _ = whole(choices)
    assert holds(sent, received)
    assert (received.choices == choices).all()


@given(st.lists(st.lists(st.booleans(), max_size=300), min_size=1, max_size=5))
def test_relation_over_many_extensions(calls):
    sender, receiver, _, _ = extenders()
    count = 0
    for bits in calls:
        sent, received = extend(sender, receiver, np.array(bits, np.uint8))
        assert sent.K.shape == received.M.shape == (len(bits), 2)
        assert holds(sent, received)
        assert sent.tweak == received.tweak == count
        count += len(bits)


@pytest.mark.parametrize("n", [1, 127, 128, 129, 32767, 32768, 32769, 65536 + 9])
def test_relation_across_messages(n):
    sender, receiver, left, right = extenders()
    sent, received = extend(sender, receiver, Prg(RECEIVER).bits(n))
    assert holds(sent, received)
    assert right.traffic.bytes_sent == iknp.extension_bytes(n) == 128 * -(-n // 8)
    assert right.traffic.messages_sent == -(-n // 32768)
    assert left.traffic.messages_sent == 0


def test_against_a_bit_by_bit_definition():
    n = 200
    choices = Prg(RECEIVER).bits(n)
    sender, receiver, _, right = extenders()
    sent, received = extend(sender, receiver, choices)
    t, t1 = (np.unpackbits(Prg(k.tobytes()).bytes(32), count=n, bitorder="little") for k in KEYS[9])
    u = np.frombuffer(right.sent[0], np.uint8).reshape(128, 25)[9]
    assert (np.unpackbits(u, count=n, bitorder="little") == t ^ t1 ^ choices).all()
    assert ((received.M[:, 0] >> np.uint64(9) & np.uint64(1)) == t).all()
    assert ((sent.K[:, 0] >> np.uint64(9) & np.uint64(1)) == t ^ DELTA[9] * choices).all()


def test_delta_is_odd_and_fresh():
    deltas = {tuple(int(b) for b in iknp._fresh_delta(Prg(bytes([i]) * 16))) for i in range(64)}
    assert len(deltas) == 64
    assert all(d[0] == 1 for d in deltas)
    mean = np.array(sorted(deltas))[:, 1:].mean()
    assert abs(mean - 0.5) < 5 * 0.5 / np.sqrt(64 * 127)


def test_pads_agree_with_the_choice():
    sent, received = extend(*extenders()[:2], Prg(RECEIVER).bits(500))
    p0, p1 = sent.pads()
    assert (received.pads() == np.where(received.choices[:, None] == 1, p1, p0)).all()
    assert not (p0 == p1).all(axis=1).any()


def test_part_keeps_its_numbers():
    sent, received = extend(*extenders()[:2], Prg(RECEIVER).bits(50))
    assert (sent.part(7, 30).pads()[1] == sent.pads()[1][7:30]).all()
    assert (received.part(7, 30).pads() == received.pads()[7:30]).all()
    assert (received.part(7, 30).choices == received.choices[7:30]).all()
    assert len(sent.part(7, 30)) == len(received.part(7, 30)) == 23


def test_pair_makes_both_directions_in_one_round():
    r, s = Prg(SENDER).bits(100), Prg(RECEIVER).bits(70)

    def party(seed, first, choices, n):
        def role(ch):
            pair = setup_pair(ch, Prg(seed), first)
            return pair.receiver.extend(choices), pair.sender.extend(n), ch.traffic.copy()

        return role

    left, right, wire = run_pair(party(SENDER, True, r, 70), party(RECEIVER, False, s, 100))
    assert holds(right[1], left[0])
    assert holds(left[1], right[0])
    assert not (left[1].delta == right[1].delta).any()
    setup = iknp.SENDER_SETUP_BYTES + iknp.RECEIVER_SETUP_BYTES
    assert wire.left.bytes_sent == setup + iknp.extension_bytes(100)
    assert wire.right.bytes_sent == setup + iknp.extension_bytes(70)
    assert wire.left.messages_sent == wire.right.messages_sent == 2
    assert wire.rounds == 2  # one for the setup, one for both extensions


def test_pair_with_one_role_twice_does_not_agree():
    """Both as `first`: the directions' hashes differ, as they would for a point sent back to its sender."""

    def role(seed):
        def run(ch):
            pair = setup_pair(ch, Prg(seed), first=True)
            return pair.receiver.extend(np.zeros(64, np.uint8)), pair.sender.extend(64)

        return run

    left, right, _ = run_pair(role(SENDER), role(RECEIVER))
    assert not holds(right[1], left[0])


def test_cost_of_one_direction():
    _, _, wire = whole(np.zeros(1000, np.uint8))
    assert wire.left.bytes_sent == iknp.SENDER_SETUP_BYTES == 8192
    assert wire.right.bytes_sent == iknp.RECEIVER_SETUP_BYTES + 128 * 125
    assert wire.right.messages_sent == 2
    assert wire.rounds == 1


def test_wire_baseline():
    check_baseline("iknp-64", whole(np.ones(64, np.uint8))[2])


def test_delta_and_keys_are_not_on_the_wire():
    sent, received, wire = whole(Prg(b"choices of test.").bits(4096))
    secrets = [
        sent.delta.tobytes(),
        *(k.tobytes() for k in sent.K[:64]),
        *(m.tobytes() for m in received.M[:64]),
    ]
    everything = b"|".join(wire.left_sent + wire.right_sent)
    assert not any(secret in everything for secret in secrets)


def test_u_has_one_distribution_for_all_choices():
    """Chi-square of the bytes of u, for r = 0 and r = 1: 255 degrees of freedom exceed 384 with p < 1e-6."""
    for bit in (0, 1):
        _, receiver, _, right = extenders()
        receiver.extend(np.full(1 << 16, bit, np.uint8))
        counts = np.bincount(np.frombuffer(right.sent[0], np.uint8), minlength=256)
        expected = counts.sum() / 256
        assert ((counts - expected) ** 2 / expected).sum() < 384


def test_no_part_of_a_stream_is_used_twice():
    _, receiver, _, right = extenders()
    for _ in range(3):
        receiver.extend(np.zeros(128, np.uint8))
    rows = {message[i : i + 16] for message in right.sent for i in range(0, 2048, 16)}
    assert len(rows) == 3 * 128


def test_columns_are_distinct():
    sent, received = extend(*extenders()[:2], np.zeros(2000, np.uint8))
    assert len({k.tobytes() for k in sent.K}) == 2000
    assert (sent.K == received.M).all()


@pytest.mark.parametrize("size", [0, 128 * 12, 128 * 13 - 1, 128 * 13 + 1, 2 * 128 * 13])
def test_sender_refuses_a_matrix_of_the_wrong_length(size):
    sender, _, _, right = extenders()
    right.send(bytes(size))
    with pytest.raises(FramingError, match="expected a message of 1664 bytes"):
        sender.extend(100)


def test_sender_notices_a_repeated_message():
    """A matrix sent twice cannot stand for the next one, of another length."""
    sender, receiver, _, right = extenders()
    receiver.extend(np.ones(100, np.uint8))
    right.send(right.sent[0])
    sender.extend(100)
    with pytest.raises(FramingError):
        sender.extend(200)


def test_sender_notices_a_silent_peer():
    with pytest.raises(PeerGone):
        extenders(timeout=0.01)[0].extend(8)


@pytest.mark.parametrize("size", [0, 8192, 8223, 8225, 2 * 8224])
def test_pair_refuses_a_setup_of_the_wrong_length(size):
    with pytest.raises(FramingError):
        run_pair(lambda ch: setup_pair(ch, Prg(SENDER), True), lambda ch: ch.send(bytes(size)))


@pytest.mark.parametrize("place", [0, 127 * 64 + 32, 8192])
def test_pair_refuses_a_bad_point(place):
    def wrong(ch):
        _, _, honest = run_pair(*(lambda c, f=f: setup_pair(c, Prg(RECEIVER), f) for f in (True, False)))
        message = bytearray(honest.right_sent[0])
        message[place : place + 32] = bytes([1]) + bytes(31)
        ch.send(message)

    with pytest.raises(CheckFailed):
        run_pair(lambda ch: setup_pair(ch, Prg(SENDER), True), wrong)


@pytest.mark.parametrize(
    "choices", [np.array([0, 2], np.uint8), np.zeros(3, bool), np.zeros((2, 4), np.uint8)]
)
def test_choices_are_bits(choices):
    with pytest.raises(ParameterError):
        extenders()[1].extend(choices)


def test_a_count_is_not_negative():
    with pytest.raises(ParameterError):
        extenders()[0].extend(-1)
