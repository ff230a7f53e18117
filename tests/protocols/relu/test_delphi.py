"""Delphi's ReLU: values, cost, what the wire shows, misbehaviour."""

import itertools

import numpy as np
import pytest
from otpairs import ot_setups
from relus import Nobody, offline, run, split_shares
from views import check_no_pair_differs, check_same_lengths, check_uniform
from wire import check_baseline

from circa.protocols.channel import send_array
from circa.protocols.errors import CheckFailed, ParameterError
from circa.protocols.packing import pack
from circa.protocols.relu import Activation, by_name
from circa.protocols.shares import PRIME31, RING32
from harness import run_pair

DELPHI = by_name("delphi")
MODULI = [PRIME31, RING32]


def layer(modulus=PRIME31, shift=7, channels=3, positions=23, knots=(0,), coefs=(1,)):
    return Activation(modulus, channels, positions, shift, knots=knots, coefs=coefs)


def values(act, batch, seed=0):
    """Integers of every size, and those next to zero, to 2^f and to the largest."""
    half = act.modulus.value // 2 - 1
    rng = np.random.default_rng(seed)
    z = (rng.uniform(-1, 1, act.shape(batch)) ** 3 * half).astype(np.int64).reshape(-1)
    edges = [0, 1, -1, 1 << act.shift, (1 << act.shift) - 1, -(1 << act.shift), half, -half]
    z[30 : 30 + len(edges)] = edges
    return z.reshape(act.shape(batch))


def exact(act, z):
    """sum_j c_j max(floor((z - knot_j) / 2^f), 0), where nothing wraps."""
    return sum(c * (np.maximum(z - k, 0) >> act.shift) for c, k in zip(act.coefs, act.knots, strict=True))


# ---- values


@pytest.mark.parametrize(("modulus", "shift"), [*itertools.product(MODULI, [0, 1, 7, 12, 24])])
def test_relu_is_exact(modulus, shift):
    act = layer(modulus, shift)
    z = values(act, 2)
    z_s, z_c = split_shares(modulus, z)
    y = run(DELPHI, act, z_s, z_c).y(modulus)
    np.testing.assert_array_equal(modulus.decode(y), exact(act, z))
    np.testing.assert_array_equal(y, DELPHI.simulate(act, z_s, z_c))


@pytest.mark.parametrize("modulus", MODULI)
def test_knots(modulus):
    act = layer(modulus, 4, knots=(-900, 0, 6 << 8), coefs=(1, 1, -1))
    z = values(act, 2) // 4
    z_s, z_c = split_shares(modulus, z)
    y = run(DELPHI, act, z_s, z_c).y(modulus)
    np.testing.assert_array_equal(modulus.decode(y), exact(act, z))
    np.testing.assert_array_equal(y, DELPHI.simulate(act, z_s, z_c))


# ---- cost


def test_cost_by_hand():
    """1000 elements mod the prime: 240 ANDs of 32 bytes, 62 labels of 16; online 31 labels, 31 bits back."""
    cost = DELPHI.cost(Activation(PRIME31, 1, 1000), 1, ot_k=1)
    assert cost.and_gates == 240_000
    assert cost.table_bytes == cost.offline.down == 7_680_000
    assert (cost.offline.up, cost.offline.rounds) == (992_000, 1)
    assert (cost.online.down, cost.online.up) == (496_000, 3875)
    assert (cost.sender_stored, cost.receiver_stored) == (4032, 8_672_008)
    assert DELPHI.cost(Activation(PRIME31, 1, 1000, 8), 1).and_gates == 232_000


# ---- what the wire shows


def test_wire():
    act = layer()
    z_s, z_c = split_shares(PRIME31, values(act, 1))
    result = run(DELPHI, act, z_s, z_c)
    check_baseline("relu-delphi-f7-offline", result.offline)
    check_baseline("relu-delphi-f7-online", result.online)


@pytest.mark.parametrize("modulus", MODULI)
def test_evaluator_view_has_no_pair_differing_by_delta(modulus):
    setups, act = ot_setups("ideal"), layer(modulus)
    z_s, z_c = split_shares(modulus, values(act, 2))
    result = run(DELPHI, act, z_s, z_c, setups)
    labels = [part.labels for part in result.receiver.circuit]
    check_no_pair_differs(setups[0](None).sender.delta, result, labels)


def test_answer_is_uniform_and_every_message_has_one_length():
    act = Activation(RING32, 1, 1 << 12, 8)
    runs = []
    for value in (0, -1, (1 << 31) - 1, -(1 << 31)):
        z_c = np.full(act.shape(1), 99, np.uint32)
        z_s = RING32.sub(RING32.encode(np.full(act.shape(1), value)), z_c)
        runs.append(run(DELPHI, act, z_s, z_c))
        check_uniform(runs[-1].online.right_sent[0])
        check_uniform(runs[-1].online.left_sent[0])
        check_uniform(runs[-1].y_s.tobytes())
    check_same_lengths(runs)


# ---- misbehaviour and misuse


def test_garbage_labels_give_garbage():
    """No check detects it (semi-honest), nothing breaks."""
    act = layer(RING32)
    _, z_c = split_shares(RING32, values(act, 1))
    _, _, receiver, _ = offline(DELPHI, act, z_c)
    size = DELPHI.cost(act, 1).online.down
    _, _, said = run_pair(
        lambda ch: ch.send(bytes(range(256)) * (size // 256) + bytes(size % 256)),
        lambda ch: DELPHI.online_receiver(ch, act, receiver),
    )
    assert len(said.right_sent[0]) == DELPHI.cost(act, 1).online.up


def test_material_of_another_circuit_is_refused():
    _, z_c = split_shares(PRIME31, values(layer(), 1))
    _, _, receiver, _ = offline(DELPHI, layer(), z_c)
    with pytest.raises(ParameterError, match="another circuit"):
        DELPHI.online_receiver(Nobody(), layer(shift=6), receiver)


def test_a_result_that_is_no_residue_is_refused():
    act = layer()
    z_s, z_c = split_shares(PRIME31, values(act, 1))
    _, sender, _, _ = offline(DELPHI, act, z_c)
    colours = sender.permute ^ np.uint32(PRIME31.value)
    with pytest.raises(CheckFailed, match="not below 2138816513"):
        run_pair(
            lambda ch: DELPHI.online_sender(ch, act, z_s, sender),
            lambda ch: send_array(ch, pack(colours, 31)),
        )
