"""The whole protocol `table`: values, fault law, cost, what the wire shows, misbehaviour."""

import itertools

import numpy as np
import pytest
from relus import corners, offline, run, split_shares, values
from wire import check_baseline

from circa.protocols.errors import FramingError
from circa.protocols.relu import Activation, by_name
from circa.protocols.shares import RING32
from circa.protocols.sign.window import MODES, Window, fault_probability
from harness import run_pair

TABLE = by_name("table")


def layer(n=6, shift=8, mode="balanced", channels=3, positions=67, gain=(5, 64, 77), knots=(0,), coefs=(1,)):
    return Activation(RING32, channels, positions, shift, Window(n, gain, mode), knots=knots, coefs=coefs)


def reference(act, z, v):
    """sum_j c_j v_j floor(z_j / 2^f) over plain integers, v_j exact."""
    return sum(c * v_j * ((z - k) >> act.shift) for c, k, v_j in zip(act.coefs, act.knots, v, strict=True))


# ---- values


@pytest.mark.parametrize(("n", "mode"), [*itertools.product(range(2, 9), MODES)])
@pytest.mark.parametrize("shift", [0, 8, 11])
def test_output_is_what_the_shares_determine(n, mode, shift):
    act = layer(n, shift, mode)
    z = values(act, 2, n)
    z_s, z_c = split_shares(RING32, z, n)
    y = run(TABLE, act, z_s, z_c).y(RING32)
    np.testing.assert_array_equal(y, TABLE.simulate(act, z_s, z_c))


@pytest.mark.parametrize("shift", range(1, 25))
def test_every_shift(shift):
    act = layer(shift=shift, positions=11)
    z_s, z_c = split_shares(RING32, values(act, 3))
    y = run(TABLE, act, z_s, z_c).y(RING32)
    np.testing.assert_array_equal(y, TABLE.simulate(act, z_s, z_c))


@pytest.mark.parametrize(("n", "mode", "shift"), [*itertools.product([2, 4, 6, 8], MODES, [0, 8])])
def test_simulation_is_relu_but_for_the_law(n, mode, shift):
    """y is floor(z / 2^f) or 0, up to one unit: the former above the fault interval, the latter below it."""
    act = layer(n, shift, mode, channels=1, positions=1 << 15, gain=(37,))
    z = values(act, 2)
    z_s, z_c = split_shares(RING32, z)
    y, window = RING32.decode(TABLE.simulate(act, z_s, z_c)), act.window
    passed = (y <= z >> shift) & (y >= (z >> shift) - (shift > 0))
    assert (passed | (y == 0)).all()
    s = z * window.gain[0] + window.delta
    assert passed[s >= window.width].all()
    assert not y[s < 0].any()
    large = (np.abs(z >> shift) > 1) & (s >= 0) & (s < window.width)
    fault = passed == (z < 0)
    expected = fault_probability(z[large], window.gain[0], n, mode)
    deviation = np.sqrt((expected * (1 - expected)).sum())
    assert abs(fault[large].sum() - expected.sum()) < 6 * deviation


@pytest.mark.parametrize("mode", MODES)
def test_fault_rate_through_the_protocol(mode):
    """At single values x, from the real protocol: a binomial interval, and never on the other side."""
    trials, gain, n = 2000, 1 << 10, 6
    window = Window(n, (gain,), mode)
    edge = window.width // gain
    x = np.linspace(-1.1 * edge, 1.1 * edge, 23).astype(np.int64)
    x = x[x != 0]
    act = Activation(RING32, x.size, trials, 0, window)
    z = np.broadcast_to(x[:, None], (1, x.size, trials)).copy()
    rng = np.random.default_rng(8)
    z_c = rng.integers(0, 1 << 32, z.shape, dtype=np.uint32)
    y = RING32.decode(run(TABLE, act, RING32.encode(z) - z_c, z_c).y(RING32))
    faults = (y[0] != np.maximum(x, 0)[:, None]).mean(axis=1)
    law = fault_probability(x, gain, n, mode)
    assert law.max() > 0.4
    assert (np.abs(faults - law) <= 6 * np.sqrt(law * (1 - law) / trials) + 1e-12).all()


def test_exact_sum_of_relus_far_from_the_knots():
    act = layer(6, 8, knots=(0, 6 << 16), coefs=(1, -1), channels=1, gain=(64,))
    z = values(act, 2)
    near = np.abs(z[..., None] - np.array(act.knots)).min(axis=-1) <= act.window.width // 64
    z_s, z_c = split_shares(RING32, z)
    y = RING32.decode(TABLE.simulate(act, z_s, z_c))
    expected = reference(act, z, [(z >= knot) for knot in act.knots])
    assert near.mean() < 0.7
    assert np.abs(y - expected)[~near].max() <= 1


# ---- cost


def test_bytes_per_relu_of_the_default():
    """design.md 5.3: 8 + 4 + 1 + 1 bytes down and 4.25 up for n = 6, f = 8; one round trip."""
    act = Activation(RING32, 16, 64, 8, Window(6))
    z_s, z_c = split_shares(RING32, values(act, 2))
    online = run(TABLE, act, z_s, z_c).online
    assert online.left.bytes_sent == 14 * z_s.size
    assert 4 * online.right.bytes_sent == 17 * z_s.size
    assert (online.left.bytes_sent + online.right.bytes_sent) / z_s.size == 18.25
    assert online.rounds == 1
    assert online.left.messages_sent == online.right.messages_sent == 1


def test_cost_by_hand():
    """1000 elements: 6 + 3 COTs up and 1 down of 16 bytes, corrections of 4 bytes up, 4 + 1 + 1 down."""
    cost = TABLE.cost(Activation(RING32, 1, 1000, 8, Window(6)), 1, ot_k=1)
    assert (cost.offline.down, cost.offline.up, cost.offline.rounds) == (22_000, 148_000, 1)
    assert (cost.online.down, cost.online.up) == (14_000, 4250)
    assert (cost.sender_stored, cost.receiver_stored) == (24_000, 12_000)


# ---- what the wire shows


def test_wire():
    act = layer()
    z_s, z_c = split_shares(RING32, values(act, 1))
    result = run(TABLE, act, z_s, z_c)
    check_baseline("relu-table-n6-f8-offline", result.offline)
    check_baseline("relu-table-n6-f8-online", result.online)


def test_messages_look_uniform_and_have_one_length():
    """All of both online messages, for values that could not differ more: bytes uniform, sizes equal."""
    act = Activation(RING32, 1, 1 << 13, 8, Window(6))
    sizes = set()
    for value in (0, -1, (1 << 30) - 1, -(1 << 30) + 1):
        z_c = np.full(act.shape(1), 99, np.uint32)
        z_s = RING32.encode(np.full(act.shape(1), value)) - z_c
        online = run(TABLE, act, z_s, z_c).online
        sizes.add((len(online.left_sent[0]), len(online.right_sent[0])))
        for message in (online.left_sent[0], online.right_sent[0]):
            seen = np.bincount(np.frombuffer(message, np.uint8), minlength=256)
            mean = len(message) / 256
            statistic = ((seen - mean) ** 2 / mean).sum()
            assert abs(statistic - 255) < 6 * np.sqrt(2 * 255)
    assert len(sizes) == 1


def test_shares_of_the_output_are_new():
    """y_s is uniform when y_c is, whatever z."""
    act = Activation(RING32, 1, 1 << 13, 8, Window(6))
    z_s, z_c = split_shares(RING32, np.zeros(act.shape(1), np.int64))
    y_s = run(TABLE, act, z_s, z_c).y_s
    seen = np.bincount(y_s.view(np.uint8).reshape(-1), minlength=256)
    mean = 4 * y_s.size / 256
    assert abs(((seen - mean) ** 2 / mean).sum() - 255) < 6 * np.sqrt(2 * 255)


# ---- misbehaviour and misuse


def test_a_peer_with_other_knots_is_noticed():
    act, other = layer(), layer(knots=(0, 1), coefs=(1, 1))
    z_s, z_c = split_shares(RING32, values(act, 1))
    _, sender, _, _ = offline(TABLE, act, z_c)
    _, _, receiver, _ = offline(TABLE, other, z_c)
    with pytest.raises(FramingError):
        run_pair(
            lambda ch: TABLE.online_sender(ch, act, z_s, sender),
            lambda ch: TABLE.online_receiver(ch, other, receiver),
        )


def test_a_flipped_bit_spoils_its_own_element_only():
    """No check detects it (semi-honest), and nothing else is touched."""
    act = layer(shift=8)
    z_s, z_c = split_shares(RING32, values(act, 1))
    y_c, sender, receiver, _ = offline(TABLE, act, z_c)
    position = 8 * z_s.size + 4 * 5  # the low byte of D of element 5

    class Flipping:
        def __init__(self, ch):
            self.ch, self.traffic = ch, ch.traffic

        def send(self, data):
            self.ch.send(data)

        def recv(self, size):
            message = bytearray(self.ch.recv(size))
            message[position] ^= 1
            return bytes(message)

    y_s, _, _ = run_pair(
        lambda ch: TABLE.online_sender(ch, act, z_s, sender),
        lambda ch: TABLE.online_receiver(Flipping(ch), act, receiver),
    )
    wrong = np.flatnonzero((y_s + y_c).reshape(-1) != TABLE.simulate(act, z_s, z_c).reshape(-1))
    assert set(wrong) <= {5}


def test_corner_shares_are_in_the_tests():
    """0, M/4, M/2 and M - 1 and their neighbours, at either party."""
    z_s, z_c = split_shares(RING32, np.arange(200))
    for share in (z_s, z_c):
        assert set(corners(RING32).tolist()) <= set(share.tolist())
