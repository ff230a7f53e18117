"""1-of-2^n random OT: the receiver holds one position of the sender's table and no other."""

import numpy as np
import pytest
from otpairs import ot_setups

from circa.protocols.errors import ParameterError
from circa.protocols.hash import tccr
from circa.protocols.ot.cots import ReceivedCots
from circa.protocols.ot.one_of_n import index_choices, recv_one_of_n, send_one_of_n, word_type
from circa.protocols.prg import Prg
from harness import run_pair


def run(ot, index, n, words):
    """R as bits (words, count, 2^n), the packed R, R_t, and both halves of the COTs."""
    left, right = ot

    def sender(ch):
        sent = left(ch).sender.extend(n * index.size)
        return sent, send_one_of_n(sent, n, words)

    def receiver(ch):
        received = right(ch).receiver.extend(index_choices(index, n))
        return received, recv_one_of_n(received, index, n, words)

    (sent, packed), (received, chosen), _ = run_pair(sender, receiver)
    bits = np.unpackbits(packed.view(np.uint8).reshape(words, index.size, -1), axis=2, bitorder="little")
    return bits, packed, chosen, sent, received


def indices(n, count):
    return (np.arange(count) % (1 << n)).astype(np.uint8)


@pytest.mark.parametrize("n", range(2, 9))
@pytest.mark.parametrize("words", [1, 3, 20])
def test_receiver_holds_its_position(n, words):
    index = indices(n, 600)
    bits, packed, chosen, _, _ = run(ot_setups("ideal"), index, n, words)
    word, per_entry = word_type(n)
    assert packed.shape == (words, 600, per_entry)
    assert packed.dtype == word
    assert chosen.shape == (words, 600)
    assert chosen.dtype == np.uint8
    assert (bits[:, np.arange(600), index] == chosen).all()
    assert not bits[:, :, 1 << n :].any()


@pytest.mark.parametrize("n", [2, 6, 8])
def test_over_both_kinds_of_cot(n, ot):
    index = indices(n, 300)
    bits, _, chosen, _, _ = run(ot, index, n, 2)
    assert (bits[:, np.arange(300), index] == chosen).all()


def test_across_chunks():
    index = indices(4, (1 << 13) + 5)
    bits, _, chosen, _, _ = run(ot_setups("ideal"), index, 4, 1)
    assert (bits[0, np.arange(index.size), index] == chosen[0]).all()


@pytest.mark.parametrize(("n", "words"), [(2, 1), (3, 2), (6, 1), (6, 3), (7, 2), (8, 1)])
def test_against_the_definition(n, words):
    """R_j = XOR_i F(K_i^{j_i})[j], one position at a time, F from the hash and the documented tweaks."""
    count, size = 3, max(1 << n, 8)
    bits, _, _, sent, _ = run(ot_setups("ideal"), indices(n, count), n, words)

    def F(key, number):
        blocks = [tccr(key[None], number + (b + 1) * 2**48) for b in range(-(-words * size // 128))]
        return np.unpackbits(np.concatenate(blocks).view(np.uint8).reshape(-1), bitorder="little")

    for e in range(count):
        keys = [sent.K[i * count + e] for i in range(n)]
        table = [
            [F(keys[i] ^ sent.delta * np.uint64(b), sent.tweak + i * count + e) for b in (0, 1)]
            for i in range(n)
        ]
        for w in range(words):
            for j in range(1 << n):
                expected = 0
                for i in range(n):
                    expected ^= int(table[i][j >> i & 1][w * size + j])
                assert bits[w, e, j] == expected


@pytest.mark.parametrize("n", [2, 6, 8])
def test_other_positions_are_coin_flips_to_the_receiver(n):
    """What the receiver's keys give at j != t agrees with R_j as often as a coin, within 5 sigma."""
    index = np.zeros(4000, np.uint8)
    bits, _, _, _, received = run(ot_setups("ideal"), index, n, 1)
    for j in range(1, 1 << n):
        # the receiver reads position j with the keys that it has: same COTs, index j
        guess = ReceivedCots(received.M, index_choices(np.full(4000, j, np.uint8), n), received.tweak)
        got = recv_one_of_n(guess, np.full(4000, j, np.uint8), n, 1)
        assert abs((got[0] == bits[0, :, j]).mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)


def test_blocks_of_a_long_entry_differ():
    """n = 8 with four words is eight blocks a key: no two of them alike, or one tweak served twice."""
    _, packed, _, _, _ = run(ot_setups("ideal"), indices(8, 50), 8, 4)
    assert len(np.unique(packed)) == packed.size


def test_expansion_is_apart_from_the_pads():
    _, packed, _, sent, _ = run(ot_setups("ideal"), indices(6, 50), 6, 1)
    pads = np.concatenate([np.bitwise_xor.reduce(p[:, 0].reshape(6, 50)) for p in sent.pads()])
    assert not np.isin(packed, pads).any()


def test_bits_are_balanced():
    bits, _, _, _, _ = run(ot_setups("ideal"), indices(6, 2000), 6, 1)
    assert (abs(bits[0].mean(axis=0) - 0.5) < 5 * 0.5 / np.sqrt(2000)).all()


def test_no_message():
    left, right = ot_setups("ideal")
    index = indices(5, 20)
    wire = run_pair(
        lambda ch: send_one_of_n(left(ch).sender.extend(100), 5, 1),
        lambda ch: recv_one_of_n(right(ch).receiver.extend(index_choices(index, 5)), index, 5, 1),
    )[2]
    assert wire.left.messages_sent == wire.right.messages_sent == 0


def test_index_choices_order():
    assert index_choices(np.array([1, 2, 7], np.uint8), 3).tolist() == [1, 0, 1, 0, 1, 1, 0, 0, 1]


def test_bad_arguments():
    left, right = (setup(None) for setup in ot_setups("ideal"))
    received = right.receiver.extend(Prg(bytes(16)).bits(12))
    sent = left.sender.extend(12)
    for n, words in ((1, 1), (9, 1), (5, 1), (4, 0)):
        with pytest.raises(ParameterError):
            send_one_of_n(sent, n, words)
    with pytest.raises(ParameterError):
        recv_one_of_n(received, np.zeros(3, np.uint8), 4, 1)
    with pytest.raises(ParameterError):
        index_choices(np.array([16], np.uint8), 4)
