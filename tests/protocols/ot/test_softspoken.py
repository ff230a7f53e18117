"""SoftSpoken OT: the relation, costs, what the wire shows, and a peer that does not keep to the protocol."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import check_baseline

from circa.protocols.channel import memory_pair
from circa.protocols.errors import CheckFailed, FramingError, ParameterError, PeerGone
from circa.protocols.ot import setup_pair, setup_receiver, setup_sender, softspoken
from circa.protocols.ot.leaves import depths
from circa.protocols.prg import Prg
from harness import run_pair

SENDER, RECEIVER = b"sender seed 0016", b"receiver seed 16"
KEYS = Prg(b"base OT keys 016").bytes(128 * 2 * 16).reshape(128, 2, 16)
DELTA = Prg(b"delta of a test.").bits(128) | (np.arange(128) == 0).astype(np.uint8)
EVERY_K = pytest.mark.parametrize("k", range(1, 9))


def extenders(k=softspoken.DEFAULT_K, timeout=20.0):
    """A sender and a receiver with given base OT keys, and their channels; one thread may run both."""
    left, right = memory_pair(timeout)
    left.record(), right.record()
    seeds, corrections = softspoken.grown_seeds(KEYS, k)
    known = softspoken.punctured_seeds(KEYS[np.arange(128), 1 - DELTA], DELTA, corrections, k)
    return (
        softspoken.SoftSpokenSender(left, DELTA, known, k),
        softspoken.SoftSpokenReceiver(right, seeds, k),
        left,
        right,
    )


def extend(sender, receiver, choices):
    received = receiver.extend(choices)
    return sender.extend(choices.size), received


def holds(sent, received):
    return (received.M ^ received.choices[:, None] * sent.delta == sent.K).all()


def whole(choices, k=softspoken.DEFAULT_K):
    """Setup and one extension: left sends COTs, right receives."""
    return run_pair(
        lambda ch: setup_sender(ch, Prg(SENDER), k).extend(choices.size),
        lambda ch: setup_receiver(ch, Prg(RECEIVER), k).extend(choices),
    )


@EVERY_K
def test_relation_after_real_base_ots(k):
    choices = Prg(b"choices of test.").bits(1000)
    sent, received, _ = whole(choices, k)
    assert holds(sent, received)
    assert (received.choices == choices).all()


@given(st.integers(1, 8), st.lists(st.lists(st.booleans(), max_size=300), min_size=1, max_size=5))
def test_relation_over_many_extensions(k, calls):
    sender, receiver, _, _ = extenders(k)
    count = 0
    for bits in calls:
        sent, received = extend(sender, receiver, np.array(bits, np.uint8))
        assert sent.K.shape == received.M.shape == (len(bits), 2)
        assert holds(sent, received)
        assert sent.tweak == received.tweak == count
        count += len(bits)


@EVERY_K
@pytest.mark.parametrize("n", [1, 7, 8, 9, 127, 128, 129])
def test_relation_and_bytes_at_the_edges(k, n):
    sender, receiver, left, right = extenders(k)
    sent, received = extend(sender, receiver, Prg(RECEIVER).bits(n))
    assert holds(sent, received)
    assert right.traffic.bytes_sent == softspoken.extension_bytes(n, k) == -(-128 // k) * -(-n // 8)
    assert left.traffic.messages_sent == 0


@pytest.mark.parametrize("n", [32767, 32768, 32769, 65536 + 9])
def test_relation_across_messages(n):
    sender, receiver, left, right = extenders()
    sent, received = extend(sender, receiver, Prg(RECEIVER).bits(n))
    assert holds(sent, received)
    assert right.traffic.bytes_sent == softspoken.extension_bytes(n)
    assert right.traffic.messages_sent == -(-n // 32768)
    assert left.traffic.messages_sent == 0


@pytest.mark.parametrize(("delta", "r"), list(itertools.product(range(8), (0, 1))))
def test_every_piece_of_delta(delta, r):
    """Truth table of one tree of depth 3: each value of its piece, both choices."""
    bits = DELTA.copy()
    bits[3:6] = [delta >> b & 1 for b in range(3)]
    seeds, corrections = softspoken.grown_seeds(KEYS, 3)
    known = softspoken.punctured_seeds(KEYS[np.arange(128), 1 - bits], bits, corrections, 3)
    left, right = memory_pair()
    received = softspoken.SoftSpokenReceiver(right, seeds, 3).extend(np.array([r], np.uint8))
    sent = softspoken.SoftSpokenSender(left, bits, known, 3).extend(1)
    assert int((sent.K ^ received.M)[0, 0]) >> 3 & 7 == delta * r
    assert holds(sent, received)


@EVERY_K
def test_against_a_bit_by_bit_definition(k):
    """Rows of the second tree from the streams of its leaves, one at a time."""
    n, choices = 200, Prg(RECEIVER).bits(200)
    sender, receiver, _, right = extenders(k)
    sent, received = extend(sender, receiver, choices)
    seeds, _ = softspoken.grown_seeds(KEYS, k)
    streams = [
        np.unpackbits(Prg(seed.tobytes()).bytes(32), count=n, bitorder="little")
        for seed in seeds[1 << k : 2 << k]
    ]
    u = np.bitwise_xor.reduce(streams)
    d = np.frombuffer(right.sent[0], np.uint8).reshape(-1, 25)[1]
    assert (np.unpackbits(d, count=n, bitorder="little") == u ^ choices).all()
    for b in range(k):
        v = np.bitwise_xor.reduce([G for x, G in enumerate(streams) if x >> b & 1])
        row = k + b
        assert ((received.M[:, 0] >> np.uint64(row) & np.uint64(1)) == v).all()
        assert ((sent.K[:, 0] >> np.uint64(row) & np.uint64(1)) == v ^ DELTA[row] * choices).all()


@EVERY_K
def test_the_sender_knows_every_seed_but_that_of_delta(k):
    seeds, corrections = softspoken.grown_seeds(KEYS, k)
    known = softspoken.punctured_seeds(KEYS[np.arange(128), 1 - DELTA], DELTA, corrections, k)
    row = at = 0
    for depth in depths(k):
        piece = sum(int(DELTA[row + b]) << b for b in range(depth))
        tree, other = seeds[at : at + (1 << depth)], known[at : at + (1 << depth)]
        for x in range(1 << depth):
            assert (other[x ^ piece] == (0 if x == piece else tree[x])).all()
        assert tree[piece].tobytes() not in known.tobytes()
        row, at = row + depth, at + (1 << depth)
    assert row == 128
    assert at == len(seeds) == len(known)


def test_trees_cover_the_rows():
    assert {k: depths(k)[-1] for k in range(1, 9)} == {1: 1, 2: 2, 3: 2, 4: 4, 5: 3, 6: 2, 7: 2, 8: 8}
    assert [len(depths(k)) for k in range(1, 9)] == [128, 64, 43, 32, 26, 22, 19, 16]


def test_delta_is_odd_and_fresh():
    deltas = {tuple(int(b) for b in softspoken._fresh_delta(Prg(bytes([i]) * 16))) for i in range(64)}
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


@EVERY_K
def test_pair_makes_both_directions(k):
    r, s = Prg(SENDER).bits(100), Prg(RECEIVER).bits(70)

    def party(seed, first, choices, n):
        def role(ch):
            pair = setup_pair(ch, Prg(seed), first, k)
            return pair.receiver.extend(choices), pair.sender.extend(n), ch.traffic.copy()

        return role

    left, right, wire = run_pair(party(SENDER, True, r, 70), party(RECEIVER, False, s, 100))
    assert holds(right[1], left[0])
    assert holds(left[1], right[0])
    assert not (left[1].delta == right[1].delta).any()
    setup = softspoken.SENDER_SETUP_BYTES + softspoken.RECEIVER_SETUP_BYTES + softspoken.correction_bytes(k)
    assert wire.left.bytes_sent == setup + softspoken.extension_bytes(100, k)
    assert wire.right.bytes_sent == setup + softspoken.extension_bytes(70, k)
    assert wire.left.messages_sent == wire.right.messages_sent == (2 if k == 1 else 3)
    assert wire.rounds == wire.left.messages_sent  # one for all extensions


def test_pair_with_one_role_twice_does_not_agree():
    """Both as `first`: the directions' hashes differ, as they would for a point sent back to its sender."""

    def role(seed):
        def run(ch):
            pair = setup_pair(ch, Prg(seed), first=True)
            return pair.receiver.extend(np.zeros(64, np.uint8)), pair.sender.extend(64)

        return run

    left, right, _ = run_pair(role(SENDER), role(RECEIVER))
    assert not holds(right[1], left[0])


@EVERY_K
def test_cost_of_one_direction(k):
    _, _, wire = whole(np.zeros(1000, np.uint8), k)
    corrections = 32 * (128 - -(-128 // k))
    assert softspoken.correction_bytes(k) == corrections
    assert wire.left.bytes_sent == softspoken.SENDER_SETUP_BYTES == 8192
    assert wire.right.bytes_sent == softspoken.RECEIVER_SETUP_BYTES + corrections + -(-128 // k) * 125
    assert wire.right.messages_sent == (2 if k == 1 else 3)
    assert wire.rounds == 1


def test_k_1_costs_what_iknp_does():
    assert softspoken.correction_bytes(1) == 0
    assert softspoken.extension_bytes(1000, 1) == 128 * 125


def test_wire_baseline():
    check_baseline("softspoken-64", whole(np.ones(64, np.uint8))[2])


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
    rows = {message[i : i + 16] for message in right.sent for i in range(0, 22 * 16, 16)}
    assert len(rows) == 3 * 22


def test_columns_are_distinct():
    sent, received = extend(*extenders()[:2], np.zeros(2000, np.uint8))
    assert len({k.tobytes() for k in sent.K}) == 2000
    assert (sent.K == received.M).all()


@pytest.mark.parametrize("size", [0, 22 * 12, 22 * 13 - 1, 22 * 13 + 1, 2 * 22 * 13])
def test_sender_refuses_a_matrix_of_the_wrong_length(size):
    sender, _, _, right = extenders()
    right.send(bytes(size))
    with pytest.raises(FramingError, match="expected a message of 286 bytes"):
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


@EVERY_K
def test_parties_with_another_k_do_not_agree_in_silence(k):
    """Messages of every other k have another length."""
    other = k % 8 + 1
    with pytest.raises(FramingError):
        run_pair(
            lambda ch: setup_pair(ch, Prg(SENDER), True, k).sender.extend(8),
            lambda ch: setup_pair(ch, Prg(RECEIVER), False, other).receiver.extend(np.zeros(8, np.uint8)),
        )


@pytest.mark.parametrize("k", [-1, 0, 9, 128])
def test_k_is_in_range(k):
    for call in (
        lambda: setup_pair(memory_pair()[0], Prg(SENDER), True, k),
        lambda: softspoken.extension_bytes(8, k),
        lambda: softspoken.correction_bytes(k),
    ):
        with pytest.raises(ParameterError, match="1 to 8"):
            call()


@pytest.mark.parametrize("change", [-1, 1])
def test_pair_refuses_corrections_of_the_wrong_length(change):
    size = softspoken.correction_bytes(softspoken.DEFAULT_K)
    _, _, honest = run_pair(*(lambda c, f=f: setup_pair(c, Prg(RECEIVER), f) for f in (True, False)))

    def short(ch):
        ch.send(honest.right_sent[0])
        ch.send(bytes(size + change))

    with pytest.raises(FramingError, match=f"expected a message of {size} bytes"):
        run_pair(lambda ch: setup_pair(ch, Prg(SENDER), True), short)


def test_a_wrong_correction_breaks_the_correlation():
    """Semi-honest: nothing checks it, and the peer only spoils its own COTs."""
    seeds, corrections = softspoken.grown_seeds(KEYS, 6)
    corrections[0] ^= 1
    corrections[16] ^= 1
    known = softspoken.punctured_seeds(KEYS[np.arange(128), 1 - DELTA], DELTA, corrections, 6)
    left, right = memory_pair()
    received = softspoken.SoftSpokenReceiver(right, seeds, 6).extend(np.zeros(500, np.uint8))
    assert not holds(softspoken.SoftSpokenSender(left, DELTA, known, 6).extend(500), received)


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
