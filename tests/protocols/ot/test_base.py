"""Base OT: truth, domain separation, costs, and every kind of bad point."""

import itertools

import numpy as np
import pytest
from nacl import bindings as sodium
from wire import check_baseline

from circa.protocols.errors import CheckFailed, FramingError, ParameterError
from circa.protocols.ot import base
from circa.protocols.prg import Prg
from harness import run_pair

SENDER, RECEIVER = b"sender seed 0016", b"receiver seed 16"
NEUTRAL = bytes([1]) + bytes(31)
ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
GOOD = sodium.crypto_scalarmult_ed25519_base_noclamp(bytes([7]) + bytes(31))
BAD_POINTS = {
    "neutral": NEUTRAL,
    "order 2": bytes.fromhex("ec" + "ff" * 30 + "7f"),
    "order 4": bytes(32),
    "order 8": ORDER_8,
    "not canonical": bytes.fromhex("ee" + "ff" * 30 + "7f"),
    "sign of zero": bytes([1]) + bytes(30) + bytes([0x80]),
    "mixed order": sodium.crypto_core_ed25519_add(GOOD, ORDER_8),
    "off the curve": bytes([2]) + bytes(31),
}


def run(choices, directions=(0, 0)):
    choices = np.array(choices, np.uint8)
    return run_pair(
        lambda ch: base.send_keys(ch, choices.size, Prg(SENDER), directions[0]),
        lambda ch: base.receive_keys(ch, choices, Prg(RECEIVER), directions[1]),
    )


@pytest.mark.parametrize("choices", list(itertools.product((0, 1), repeat=3)))
def test_receiver_gets_the_key_it_chose_and_only_that(choices):
    pairs, keys, _ = run(choices)
    assert pairs.shape == (3, 2, 16)
    assert keys.shape == (3, 16)
    for i, b in enumerate(choices):
        assert (keys[i] == pairs[i, b]).all()
        assert not (keys[i] == pairs[i, 1 - b]).all()


def test_keys_are_distinct():
    pairs, _, _ = run([0, 1] * 8)
    assert len({key.tobytes() for key in pairs.reshape(-1, 16)}) == 32


def test_directions_are_separate():
    pairs, keys, _ = run([0, 1, 1], directions=(0, 1))
    assert not any((keys[i] == pairs[i, b]).all() for i in range(3) for b in (0, 1))


def test_key_is_bound_to_its_place():
    """The same points in the other order give other keys, though the Diffie-Hellman values are the same."""
    offer = base.make_offer(Prg(SENDER))
    points = base.make_request(np.zeros(1, np.uint8), Prg(RECEIVER), 0).points
    once, twice = base.sender_keys(offer, points, 0), base.sender_keys(offer, points * 2, 0)
    assert (once[0] == twice[0]).all()
    assert twice[0].tobytes() != twice[1].tobytes()


def test_cost():
    _, _, wire = run([1, 0, 1, 1])
    assert wire.left.bytes_sent == base.POINT_BYTES
    assert wire.right.bytes_sent == 4 * 2 * base.POINT_BYTES
    assert wire.rounds == 1
    assert wire.left.messages_sent == wire.right.messages_sent == 1


def test_wire_baseline():
    check_baseline("base-ot-4", run([1, 0, 0, 1])[2])


def test_request_is_points_whatever_the_choice():
    """For either choice both points are uniform group elements: here, valid and all different."""
    points = [base.make_request(np.full(4, b, np.uint8), Prg(RECEIVER), 0).points for b in (0, 1)]
    encodings = [p[i : i + 32] for p in points for i in range(0, 256, 32)]
    assert all(sodium.crypto_core_ed25519_is_valid_point(e) for e in encodings)
    # the unchosen points of both runs come from the same y_i, in the place that was not chosen
    assert len(set(encodings)) == 12
    assert all(points[0][64 * i + 32 : 64 * i + 64] == points[1][64 * i : 64 * i + 32] for i in range(4))


@pytest.mark.parametrize("name", BAD_POINTS)
def test_sender_refuses_a_bad_point(name):
    for slot in (0, 1):
        pair = [GOOD, GOOD]
        pair[slot] = BAD_POINTS[name]
        with pytest.raises(CheckFailed, match="not in the prime-order group"):
            run_pair(lambda ch: base.send_keys(ch, 1, Prg(SENDER)), lambda ch, p=pair: ch.send(b"".join(p)))


@pytest.mark.parametrize("name", BAD_POINTS)
def test_receiver_refuses_a_bad_point(name):
    with pytest.raises(CheckFailed, match="not in the prime-order group"):
        run_pair(
            lambda ch: ch.send(BAD_POINTS[name]),
            lambda ch: base.receive_keys(ch, np.ones(1, np.uint8), Prg(RECEIVER)),
        )


def test_sender_refuses_a_point_that_cancels_its_hash():
    hashed = base._hash_to_group(0, 0, 0, GOOD)
    cancelling = sodium.crypto_core_ed25519_sub(NEUTRAL, hashed)
    with pytest.raises(CheckFailed):
        run_pair(lambda ch: base.send_keys(ch, 1, Prg(SENDER)), lambda ch: ch.send(cancelling + GOOD))


@pytest.mark.parametrize("size", [0, 64 * 3 - 1, 64 * 3 + 1, 64 * 6])
def test_sender_refuses_a_request_of_the_wrong_length(size):
    with pytest.raises(FramingError):
        run_pair(lambda ch: base.send_keys(ch, 3, Prg(SENDER)), lambda ch: ch.send(bytes(size)))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_receiver_refuses_an_offer_of_the_wrong_length(size):
    with pytest.raises(FramingError):
        run_pair(
            lambda ch: ch.send(bytes(size)),
            lambda ch: base.receive_keys(ch, np.ones(1, np.uint8), Prg(RECEIVER)),
        )


@pytest.mark.parametrize("choices", [np.array([2], np.uint8), np.array([0]), np.zeros((2, 2), np.uint8)])
def test_choices_are_bits(choices):
    with pytest.raises(ParameterError):
        base.make_request(choices, Prg(RECEIVER), 0)
