"""The protocol `window-garbled`: values, agreement with `table`, fault law, cost, the wire, misbehaviour."""

import itertools

import numpy as np
import pytest
from otpairs import Setup, ot_setups
from relus import dealt_cots, offline, run, split_shares
from views import check_no_pair_differs, check_same_lengths, check_uniform
from wire import check_baseline

from circa.protocols.errors import FramingError, ParameterError
from circa.protocols.relu import Activation, by_name, columns, garbled, window_garbled
from circa.protocols.relu.material import join, nbytes, split
from circa.protocols.shares import PRIME31, RING32
from circa.protocols.sign.window import MODES, Window, fault_probability
from circa.protocols.steps import complete
from harness import run_pair

GARBLED, TABLE = by_name("window-garbled"), by_name("table")


def layer(n=6, shift=8, mode="balanced", channels=3, positions=23, gain=(5, 64, 77), knots=(0,), coefs=(1,)):
    return Activation(RING32, channels, positions, shift, Window(n, gain, mode), knots=knots, coefs=coefs)


def values(act, batch, seed=0):
    """Integers that fill the window of every channel, half of them small."""
    limits = np.array([act.window.limit(c) for c in range(act.channels)])[:, None]
    room = max(abs(knot) for knot in act.knots)
    z = np.random.default_rng(seed).uniform(-1, 1, act.shape(batch)) ** 3
    return (z * (np.minimum(limits, 1 << 29) - room)).astype(np.int64)


# ---- values


@pytest.mark.parametrize(("n", "mode", "shift"), [*itertools.product([2, 3, 6, 8, 9, 13, 16], MODES, [0, 8])])
def test_output_is_what_the_shares_determine(n, mode, shift):
    act = layer(n, shift, mode)
    z_s, z_c = split_shares(RING32, values(act, 2, n))
    y = run(GARBLED, act, z_s, z_c).y(RING32)
    np.testing.assert_array_equal(y, GARBLED.simulate(act, z_s, z_c))


@pytest.mark.parametrize("n", [2, 12])
def test_over_real_ot(ot: tuple[Setup, Setup], n):
    act = layer(n, 8, knots=(0, 6 << 12), coefs=(1, -1))
    z_s, z_c = split_shares(RING32, values(act, 2))
    y = run(GARBLED, act, z_s, z_c, ot).y(RING32)
    np.testing.assert_array_equal(y, GARBLED.simulate(act, z_s, z_c))


@pytest.mark.parametrize("shift", [0, 8])
def test_knots(shift):
    for knots, coefs in (((0, 6 << 12), (1, -1)), ((-9000, -100, 0, 77, 9000), (1, -1, 1, 1, -1))):
        act = layer(6, shift, knots=knots, coefs=coefs)
        z_s, z_c = split_shares(RING32, values(act, 2))
        y = run(GARBLED, act, z_s, z_c).y(RING32)
        np.testing.assert_array_equal(y, GARBLED.simulate(act, z_s, z_c))


def test_same_result_as_table():
    act = layer(5, 7)
    z_s, z_c = split_shares(RING32, values(act, 2))
    garbled_y, table_y = (run(p, act, z_s, z_c).y(RING32) for p in (GARBLED, TABLE))
    np.testing.assert_array_equal(garbled_y, table_y)


def test_in_many_blocks_and_parts(monkeypatch):
    monkeypatch.setattr(columns, "BLOCK", 64)
    monkeypatch.setattr(window_garbled, "SELECT_PART", 100)
    monkeypatch.setattr(garbled, "PART", 30)
    act = layer(shift=11, knots=(0, 99), coefs=(1, -1))
    z_s, z_c = split_shares(RING32, values(act, 2))
    result = run(GARBLED, act, z_s, z_c)
    assert len(result.sender.circuit) == 5
    np.testing.assert_array_equal(result.y(RING32), GARBLED.simulate(act, z_s, z_c))


@pytest.mark.parametrize(("n", "mode"), [*itertools.product([6, 12], MODES)])
def test_fault_rate_through_the_protocol(n, mode):
    """At single values x: a binomial interval, and never on the other side."""
    trials, gain = 400, 1 << 9
    window = Window(n, (gain,), mode)
    edge = window.width // gain
    x = np.linspace(-1.1 * edge, 1.1 * edge, 23).astype(np.int64)
    x = x[x != 0]
    act = Activation(RING32, x.size, trials, 0, window)
    z = RING32.encode(np.broadcast_to(x[:, None], (1, x.size, trials)).copy())
    z_c = np.random.default_rng(8).integers(0, 1 << 32, z.shape, dtype=np.uint32)
    y = RING32.decode(run(GARBLED, act, z - z_c, z_c).y(RING32))
    faults = (y[0] != np.maximum(x, 0)[:, None]).mean(axis=1)
    law = fault_probability(x, gain, n, mode)
    assert law.max() > 0.4
    assert (np.abs(faults - law) <= 6 * np.sqrt(law * (1 - law) / trials) + 1e-12).all()


# ---- cost


@pytest.mark.parametrize(
    ("n", "shift", "knots", "batch", "part"),
    [(6, 8, 1, 2, 16384), (2, 0, 1, 1, 16), (9, 11, 2, 1, 16384), (16, 16, 1, 3, 20), (8, 5, 3, 1, 50)],
)
def test_cost_is_what_crosses_the_wire(n, shift, knots, batch, part, monkeypatch):
    monkeypatch.setattr(garbled, "PART", part)
    monkeypatch.setattr(garbled, "GROUP", 3)
    monkeypatch.setattr(window_garbled, "SELECT_PART", 64)
    act = layer(n, shift, knots=tuple(range(knots)), coefs=(1,) * knots)
    z_s, z_c = split_shares(RING32, values(act, batch))
    result, cost = run(GARBLED, act, z_s, z_c, dealt_cots()), GARBLED.cost(act, batch)
    assert result.offline.left.bytes_sent == cost.offline.down
    assert result.offline.right.bytes_sent == cost.offline.up
    assert result.offline.rounds == cost.offline.rounds
    assert result.online.left.bytes_sent == cost.online.down
    assert result.online.right.bytes_sent == cost.online.up
    assert result.online.rounds == cost.online.rounds == 1
    assert nbytes(result.sender) == cost.sender_stored
    assert nbytes(result.receiver) == cost.receiver_stored
    assert cost.and_gates == knots * (n - 1) * z_s.size
    assert cost.table_bytes == 32 * cost.and_gates


def test_cost_by_hand():
    """1000 elements, n = 6, f = 8: 5 ANDs, 6 labels each; the select is that of `table`."""
    act = Activation(RING32, 1, 1000, 8, Window(6))
    cost, table = GARBLED.cost(act, 1), TABLE.cost(act, 1)
    assert (cost.and_gates, cost.table_bytes) == (5000, 160_000)
    assert (cost.online.down, cost.online.up) == (96_000 + 6000, 4250)
    assert cost.offline.down == table.offline.down + 160_000
    assert cost.offline.up == table.offline.up
    assert cost.receiver_stored == 160_000 + 96_000 + 8 + table.receiver_stored - 2 * 1000


# ---- what the wire shows


def test_wire():
    act = layer()
    z_s, z_c = split_shares(RING32, values(act, 1))
    result = run(GARBLED, act, z_s, z_c)
    check_baseline("relu-window-garbled-n6-f8-offline", result.offline)
    check_baseline("relu-window-garbled-n6-f8-online", result.online)


def test_evaluator_view_has_no_pair_differing_by_delta():
    setups, act = ot_setups("ideal"), layer(12, knots=(0, 70), coefs=(1, -1))
    z_s, z_c = split_shares(RING32, values(act, 2))
    result = run(GARBLED, act, z_s, z_c, setups)
    check_no_pair_differs(setups[0](None).sender.delta, result, [p.labels for p in result.receiver.circuit])


def test_messages_look_uniform_and_have_one_length():
    act, runs = Activation(RING32, 1, 1 << 12, 8, Window(6)), []
    for value in (0, -1, (1 << 29) - 1, -(1 << 29)):
        z_c = np.full(act.shape(1), 99, np.uint32)
        z_s = RING32.encode(np.full(act.shape(1), value)) - z_c
        runs.append(run(GARBLED, act, z_s, z_c))
        for message in (*runs[-1].online.left_sent, *runs[-1].online.right_sent):
            check_uniform(message)
        check_uniform(runs[-1].y_s.tobytes())
    check_same_lengths(runs)


# ---- misbehaviour and misuse


@pytest.mark.parametrize("change", [-1, 1, None])
def test_lengths_are_checked(change):
    act = layer()
    z_s, z_c = split_shares(RING32, values(act, 1))
    _, sender, receiver, _ = offline(GARBLED, act, z_c)
    first, labels, up = 6 * act.elements, 96 * act.elements, GARBLED.cost(act, 1).online.up

    def receive(*sizes):
        run_pair(
            lambda ch: [ch.send(bytes(size)) for size in sizes],
            lambda ch: GARBLED.online_receiver(ch, act, receiver),
        )

    with pytest.raises(FramingError):
        receive(0 if change is None else first + change)
    with pytest.raises(FramingError):
        receive(first, 0 if change is None else labels + change)
    with pytest.raises(FramingError):
        run_pair(
            lambda ch: GARBLED.online_sender(ch, act, z_s, sender),
            lambda ch: ch.send(bytes(0 if change is None else up + change)),
        )


def test_garbage_gives_garbage():
    """No check detects it (semi-honest), nothing breaks."""
    act = layer(12)
    _, z_c = split_shares(RING32, values(act, 1))
    _, _, receiver, _ = offline(GARBLED, act, z_c)
    sizes, rng = (6 * act.elements, 16 * 12 * act.elements), np.random.default_rng(2)
    _, _, said = run_pair(
        lambda ch: [ch.send(rng.bytes(size)) for size in sizes],
        lambda ch: GARBLED.online_receiver(ch, act, receiver),
    )
    assert len(said.right_sent[0]) == GARBLED.cost(act, 1).online.up


def test_material_of_four_images_serves_one_and_three():
    act = layer(9, knots=(0, 50), coefs=(1, -1))
    z_s, z_c = split_shares(RING32, values(act, 4))
    y_c, sender, receiver, _ = offline(GARBLED, act, z_c)
    done = []
    for z, kept, mine in zip((z_s[:1], z_s[1:]), split(sender, 1), split(receiver, 1), strict=True):
        y_s, _, _ = run_pair(
            lambda ch, z=z, kept=kept: GARBLED.online_sender(ch, act, z, kept),
            lambda ch, mine=mine: GARBLED.online_receiver(ch, act, mine),
        )
        done.append(y_s)
    np.testing.assert_array_equal(np.concatenate(done) + y_c, GARBLED.simulate(act, z_s, z_c))
    assert nbytes(join(split(receiver, 1))) == nbytes(receiver)


def test_material_of_another_batch_or_layer_is_refused():
    act, other = layer(), layer(positions=22)
    z_s, z_c = split_shares(RING32, values(act, 2))
    _, sender, receiver, _ = offline(GARBLED, act, z_c)
    nobody = None  # refused before anything is sent
    with pytest.raises(ParameterError, match="material of shape"):
        GARBLED.online_sender(nobody, act, z_s[:1], sender)
    with pytest.raises(ParameterError, match="material of shape"):
        GARBLED.online_receiver(nobody, other, receiver)
    with pytest.raises(ParameterError, match="a share of this layer"):
        GARBLED.online_sender(nobody, other, z_s, sender)
    with pytest.raises(ParameterError, match="shares of 2 and 1 images"):
        complete(GARBLED.offline_receiver(nobody, nobody, act, z_c, z_c[:1], nobody))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (Activation(RING32, 1, 1, 8), "needs a window, and the ring"),
        (Activation(PRIME31, 1, 1, 8, Window(6)), "needs a window, and the ring"),
        (layer(knots=(), coefs=()), "its protocol is `rescale`"),
    ],
)
def test_refuses_a_layer_that_it_cannot_do(act, message):
    with pytest.raises(ParameterError, match=message):
        GARBLED.cost(act, 1)


def test_a_table_has_fewer_bits():
    """Said before any message, or one party would wait for the other."""
    nobody = None
    with pytest.raises(ParameterError, match="2 to 8 bits, not 9"):
        complete(TABLE.offline_sender(nobody, nobody, layer(9), 1, nobody))
