"""The circa family: values, cost, what the wire shows, misbehaviour. Fault laws: test_circa_faults.py."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from otpairs import ot_setups
from relus import check_refused, offline, run, split_shares
from views import check_no_pair_differs, check_same_lengths, check_uniform
from wire import check_baseline

from circa.protocols.errors import CheckFailed
from circa.protocols.relu import Activation, by_name
from circa.protocols.shares import PRIME31, RING32
from harness import run_pair

EXACT, PLAIN, CIRCA = (by_name(name) for name in ("circa-sign", "circa-stochastic", "circa"))
FAMILY = [EXACT, PLAIN, CIRCA]
MODULI = [PRIME31, RING32]


def layer(modulus=PRIME31, shift=7, k=12, mode="poszero", channels=3, positions=23, knots=(0,), coefs=(1,)):
    return Activation(modulus, channels, positions, shift, None, k, mode, knots, coefs)


def values(act, batch, seed=0):
    """Integers that have room for the rescale, |z| < M/4, half of them small."""
    room = act.modulus.value // 4 - (2 << act.shift) - max(abs(knot) for knot in act.knots)
    return (np.random.default_rng(seed).uniform(-1, 1, act.shape(batch)) ** 5 * room).astype(np.int64)


def named(protocols):
    return [pytest.param(p, id=p.name) for p in protocols]


# ---- values


@pytest.mark.parametrize("protocol", named(FAMILY))
@pytest.mark.parametrize(("modulus", "shift"), [*itertools.product(MODULI, [0, 1, 7, 12, 24])])
def test_output_is_what_the_shares_determine(protocol, modulus, shift):
    act = layer(modulus, shift)
    z_s, z_c = split_shares(modulus, values(act, 2))
    y = run(protocol, act, z_s, z_c).y(modulus)
    np.testing.assert_array_equal(y, protocol.simulate(act, z_s, z_c))


@pytest.mark.parametrize(
    ("modulus", "k", "mode"), [*itertools.product(MODULI, [0, 1, 12, 17, 29], ["poszero", "negpass"])]
)
def test_truncations(modulus, k, mode):
    act = layer(modulus, 8, k, mode)
    z_s, z_c = split_shares(modulus, values(act, 2))
    y = run(CIRCA, act, z_s, z_c).y(modulus)
    np.testing.assert_array_equal(y, CIRCA.simulate(act, z_s, z_c))


@pytest.mark.parametrize(("modulus", "shift"), [*itertools.product(MODULI, [0, 1, 8, 12])])
def test_exact_sign_gives_the_relu(modulus, shift):
    """floor(z / 2^f) up to one unit where z >= 0, and 0 below, without exception; exact for f = 0."""
    act = layer(modulus, shift, channels=1, positions=1 << 14)
    z = values(act, 2)
    z_s, z_c = split_shares(modulus, z)
    y, floor = modulus.decode(EXACT.simulate(act, z_s, z_c)), z >> shift
    assert not y[z < 0].any()
    assert np.abs(floor - y)[z >= 0].max() <= (shift > 0)


# ---- cost


@pytest.mark.parametrize(
    ("protocol", "k", "ands"),
    [(EXACT, 0, 145), (PLAIN, 0, 62), (CIRCA, 0, 62), (CIRCA, 12, 50), (CIRCA, 17, 45)],
)
def test_and_gates_are_those_of_the_paper(protocol, k, ands):
    cost = protocol.cost(Activation(PRIME31, 1, 1000, 8, None, k), 1)
    assert cost.and_gates == 1000 * ands
    assert cost.table_bytes == 32_000 * ands


def test_cost_by_hand():
    """1000 elements mod the prime, k = 12, f = 0: 50 ANDs, 19 labels each, 31 COTs a triple each way."""
    cost = CIRCA.cost(Activation(PRIME31, 1, 1000, 0, None, 12), 1, ot_k=1)
    triples = 31_000 * 16 + 31_000 * 31 // 8
    assert cost.offline.down == triples + 1_600_000 + 3875
    assert cost.offline.up == triples + 19_000 * 16
    assert cost.offline.rounds == 2
    assert (cost.online.down, cost.online.up) == (19_000 * 16 + 3875, 3 * 3875)
    assert (cost.sender_stored, cost.receiver_stored) == (12_032, 1_600_000 + 304_000 + 20_008)


# ---- what the wire shows


@pytest.mark.parametrize("protocol", named(FAMILY))
def test_wire(protocol):
    act = layer()
    z_s, z_c = split_shares(PRIME31, values(act, 1))
    result = run(protocol, act, z_s, z_c)
    check_baseline(f"relu-{protocol.name}-f7-offline", result.offline)
    check_baseline(f"relu-{protocol.name}-f7-online", result.online)


@pytest.mark.parametrize("protocol", named(FAMILY))
@pytest.mark.parametrize("modulus", MODULI)
def test_evaluator_view_has_no_pair_differing_by_delta(protocol, modulus):
    setups, act = ot_setups("ideal"), layer(modulus)
    z_s, z_c = split_shares(modulus, values(act, 2))
    result = run(protocol, act, z_s, z_c, setups)
    check_no_pair_differs(setups[0](None).sender.delta, result, [p.labels for p in result.receiver.circuit])


@pytest.mark.parametrize("protocol", named(FAMILY))
@pytest.mark.parametrize("shift", [0, 8])
def test_nothing_is_opened_unmasked(protocol, shift):
    """In the ring, with constant shares: every column online looks uniform, both ways, whatever z."""
    act, runs = Activation(RING32, 1, 1 << 12, shift, None, 12), []
    for value in (0, -1, (1 << 29) - 1, -(1 << 29)):
        z_c = np.full(act.shape(1), 99, np.uint32)
        z_s = RING32.sub(RING32.encode(np.full(act.shape(1), value)), z_c)
        runs.append(run(protocol, act, z_s, z_c))
        eps, answer = runs[-1].online.left_sent[0], runs[-1].online.right_sent[0]
        size = 4 * act.elements
        for column in (eps[:size], *(answer[i * size : (i + 1) * size] for i in range(3))):
            check_uniform(column)
        if shift:
            check_uniform(eps[size:])
        check_uniform(runs[-1].y_s.tobytes())
    check_same_lengths(runs)


# ---- misbehaviour and misuse


@pytest.mark.parametrize("column", [0, 1, 2])
def test_an_answer_that_is_no_residue_is_refused(column):
    act = Activation(PRIME31, 1, 8, 0, None, 12)
    z_s, z_c = split_shares(PRIME31, values(act, 1))
    _, sender, _, _ = offline(CIRCA, act, z_c)
    columns = [bytes(31)] * 3
    columns[column] = bytes([255] * 31)
    with pytest.raises(CheckFailed, match="not below 2138816513"):
        run_pair(lambda ch: CIRCA.online_sender(ch, act, z_s, sender), lambda ch: ch.send(b"".join(columns)))


@pytest.mark.parametrize("column", [0, 1])
def test_an_opening_that_is_no_residue_is_refused(column):
    act = Activation(PRIME31, 1, 8, 7, None, 12)
    _, z_c = split_shares(PRIME31, values(act, 1))
    _, _, receiver, _ = offline(CIRCA, act, z_c)
    receiver = replace(receiver, permute=np.zeros_like(receiver.permute), C=np.zeros_like(receiver.C))
    columns = [bytes(31)] * 2
    columns[column] = bytes([255] * 31)

    def lie(ch):
        ch.send(b"".join(columns))
        ch.send(bytes(16 * 19 * 8))

    with pytest.raises(CheckFailed, match="not below 2138816513"):
        run_pair(lie, lambda ch: CIRCA.online_receiver(ch, act, receiver))


@pytest.mark.parametrize("modulus", MODULI)
def test_garbage_labels_give_garbage_or_a_failed_check(modulus):
    act = layer(modulus, 0, positions=1000)
    _, z_c = split_shares(modulus, values(act, 1))
    _, _, receiver, _ = offline(CIRCA, act, z_c)
    cost = CIRCA.cost(act, 1).online
    first = (modulus.bits * act.elements + 7) // 8

    def lie(ch):
        ch.send(bytes(first))
        ch.send(np.random.default_rng(1).bytes(cost.down - first))

    def receive(ch):
        return CIRCA.online_receiver(ch, act, receiver)

    if modulus.is_ring:
        assert len(run_pair(lie, receive)[2].right_sent[0]) == cost.up
    else:  # 3,000 random words of 31 bits: some are no residues
        with pytest.raises(CheckFailed, match="the peer's circuit gives a share"):
            run_pair(lie, receive)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (layer(k=30), "30 truncated bits.*0 to 29"),
        (layer(RING32, k=31), "31 truncated bits.*0 to 30"),
        (layer(k=-1), "-1 truncated bits"),
        (layer(mode="balanced"), "'balanced'; modes of a truncated sign: poszero, negpass"),
    ],
)
def test_refuses_what_it_cannot_do(act, message):
    check_refused(CIRCA, act, message)
