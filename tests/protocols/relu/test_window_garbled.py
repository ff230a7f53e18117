"""The protocol `window-garbled`: values, agreement with `table`, fault law, cost, the wire, misbehaviour."""

import itertools

import numpy as np
import pytest
from otpairs import ot_setups
from relus import check_refused, offline, run, split_shares, values
from views import check_no_pair_differs, check_same_lengths, check_uniform
from wire import check_baseline

from circa.protocols.relu import Activation, by_name
from circa.protocols.shares import RING32
from circa.protocols.sign.window import MODES, Window, fault_probability
from harness import run_pair

GARBLED, TABLE = by_name("window-garbled"), by_name("table")


def layer(n=6, shift=8, mode="balanced", channels=3, positions=23, gain=(5, 64, 77), knots=(0,), coefs=(1,)):
    return Activation(RING32, channels, positions, shift, Window(n, gain, mode), knots=knots, coefs=coefs)


# ---- values


@pytest.mark.parametrize(("n", "mode", "shift"), [*itertools.product([2, 3, 6, 8, 9, 13, 16], MODES, [0, 8])])
def test_output_is_what_the_shares_determine(n, mode, shift):
    act = layer(n, shift, mode)
    z_s, z_c = split_shares(RING32, values(act, 2, n))
    y = run(GARBLED, act, z_s, z_c).y(RING32)
    np.testing.assert_array_equal(y, GARBLED.simulate(act, z_s, z_c))


def test_same_result_as_table():
    act = layer(5, 7)
    z_s, z_c = split_shares(RING32, values(act, 2))
    garbled_y, table_y = (run(p, act, z_s, z_c).y(RING32) for p in (GARBLED, TABLE))
    np.testing.assert_array_equal(garbled_y, table_y)


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


def test_a_table_has_fewer_bits():
    """Said before any message, or one party would wait for the other."""
    check_refused(TABLE, layer(9), "2 to 8 bits, not 9")
