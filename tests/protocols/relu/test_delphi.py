"""Delphi's ReLU: values, cost, what the wire shows, misbehaviour."""

import itertools

import numpy as np
import pytest
from otpairs import Setup, ot_setups
from relus import dealt_cots, offline, run, split_shares
from views import check_no_pair_differs, check_same_lengths, check_uniform
from wire import check_baseline

from circa.protocols.channel import send_array
from circa.protocols.errors import CheckFailed, FramingError, ParameterError
from circa.protocols.packing import pack
from circa.protocols.relu import Activation, by_name, garbled
from circa.protocols.relu.material import join, nbytes, split
from circa.protocols.shares import PRIME31, RING32
from circa.protocols.steps import complete
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
def test_over_real_ot(ot: tuple[Setup, Setup], modulus):
    act = layer(modulus)
    z = values(act, 2, 1)
    z_s, z_c = split_shares(modulus, z)
    y = run(DELPHI, act, z_s, z_c, ot).y(modulus)
    np.testing.assert_array_equal(modulus.decode(y), exact(act, z))


@pytest.mark.parametrize("modulus", MODULI)
def test_knots(modulus):
    act = layer(modulus, 4, knots=(-900, 0, 6 << 8), coefs=(1, 1, -1))
    z = values(act, 2) // 4
    z_s, z_c = split_shares(modulus, z)
    y = run(DELPHI, act, z_s, z_c).y(modulus)
    np.testing.assert_array_equal(modulus.decode(y), exact(act, z))
    np.testing.assert_array_equal(y, DELPHI.simulate(act, z_s, z_c))


def test_in_many_parts(monkeypatch):
    monkeypatch.setattr(garbled, "PART", 16)
    act = layer()
    z_s, z_c = split_shares(PRIME31, values(act, 2))
    result = run(DELPHI, act, z_s, z_c)
    assert len(result.sender.circuit) == 5
    np.testing.assert_array_equal(result.y(PRIME31), DELPHI.simulate(act, z_s, z_c))


# ---- cost


@pytest.mark.parametrize(
    ("modulus", "shift", "knots", "batch", "part"),
    [(PRIME31, 0, 1, 1, 16384), (PRIME31, 8, 2, 2, 16), (RING32, 0, 1, 3, 16384), (RING32, 11, 3, 1, 50)],
)
def test_cost_is_what_crosses_the_wire(modulus, shift, knots, batch, part, monkeypatch):
    monkeypatch.setattr(garbled, "PART", part)
    monkeypatch.setattr(garbled, "GROUP", 3)
    act = layer(modulus, shift, knots=tuple(range(knots)), coefs=(1,) * knots)
    z_s, z_c = split_shares(modulus, values(act, batch))
    result, cost = run(DELPHI, act, z_s, z_c, dealt_cots()), DELPHI.cost(act, batch)
    assert result.offline.left.bytes_sent == cost.offline.down
    assert result.offline.right.bytes_sent == cost.offline.up
    assert result.offline.rounds == cost.offline.rounds
    assert result.online.left.bytes_sent == cost.online.down
    assert result.online.right.bytes_sent == cost.online.up
    assert result.online.rounds == cost.online.rounds == 1
    assert nbytes(result.sender) == cost.sender_stored
    assert nbytes(result.receiver) == cost.receiver_stored


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


@pytest.mark.parametrize("change", [-1, 1, None])
def test_lengths_are_checked(change):
    act = layer()
    z_s, z_c = split_shares(PRIME31, values(act, 1))
    _, sender, receiver, _ = offline(DELPHI, act, z_c)
    cost = DELPHI.cost(act, 1).online
    down, up = (0, 0) if change is None else (cost.down + change, cost.up + change)
    with pytest.raises(FramingError):
        run_pair(lambda ch: ch.send(bytes(down)), lambda ch: DELPHI.online_receiver(ch, act, receiver))
    with pytest.raises(FramingError):
        run_pair(lambda ch: DELPHI.online_sender(ch, act, z_s, sender), lambda ch: ch.send(bytes(up)))


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


def test_material_of_four_images_serves_one_and_three():
    act = layer(RING32, knots=(0, 50), coefs=(1, -1))
    z_s, z_c = split_shares(RING32, values(act, 4) // 2)
    y_c, sender, receiver, _ = offline(DELPHI, act, z_c)
    done = []
    for z, kept, mine in zip((z_s[:1], z_s[1:]), split(sender, 1), split(receiver, 1), strict=True):
        y_s, _, _ = run_pair(
            lambda ch, z=z, kept=kept: DELPHI.online_sender(ch, act, z, kept),
            lambda ch, mine=mine: DELPHI.online_receiver(ch, act, mine),
        )
        done.append(y_s)
    np.testing.assert_array_equal(np.concatenate(done) + y_c, DELPHI.simulate(act, z_s, z_c))
    assert nbytes(join(split(receiver, 1))) == nbytes(receiver)


def test_material_of_another_batch_or_layer_is_refused():
    act, other = layer(), layer(positions=22)
    z_s, z_c = split_shares(PRIME31, values(act, 2))
    _, sender, receiver, _ = offline(DELPHI, act, z_c)
    nobody = None  # refused before anything is sent
    with pytest.raises(ParameterError, match="material of shape"):
        DELPHI.online_sender(nobody, act, z_s[:1], sender)
    with pytest.raises(ParameterError, match="garbled circuits of 69 elements"):
        DELPHI.online_receiver(nobody, other, receiver)
    with pytest.raises(ParameterError, match="another circuit"):
        DELPHI.online_receiver(nobody, layer(shift=6), receiver)
    with pytest.raises(ParameterError, match="a share of this layer"):
        DELPHI.online_sender(nobody, other, z_s, sender)
    with pytest.raises(ParameterError, match="shares of 2 and 1 images"):
        complete(DELPHI.offline_receiver(nobody, nobody, act, z_c, z_c[:1], nobody))


def test_refuses_a_layer_without_knots():
    with pytest.raises(ParameterError, match="its protocol is `rescale`"):
        DELPHI.cost(layer(knots=(), coefs=()), 1)
