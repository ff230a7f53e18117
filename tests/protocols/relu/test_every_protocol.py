"""What every ReLU protocol promises behind the interface `Relu`, in each modulus that it takes.

What is particular to one (its fault law, what its messages hide, its circuits) is in the file of its name.
"""

from dataclasses import replace

import numpy as np
import pytest
from otpairs import ot_setups
from relus import (
    LINEAR,
    Nobody,
    check_refused,
    dealt_cots,
    layer,
    offline,
    run,
    split_shares,
    values,
)

from circa.protocols.errors import FramingError, ParameterError
from circa.protocols.relu import (
    NAMES,
    WINDOWED,
    by_name,
    columns,
    garbled,
    modulus_for,
    square,
    table,
    window_garbled,
)
from circa.protocols.relu.material import Stock, join, nbytes, split
from circa.protocols.relu.square import Square
from circa.protocols.shares import PRIME31, RING32
from circa.protocols.steps import complete
from harness import run_pair

PROTOCOLS = [*(by_name(name) for name in NAMES), Square()]
TAKEN = [(p, m) for p in PROTOCOLS for m in (RING32, PRIME31) if m.is_ring or p.name not in WINDOWED]
SIX, FIVE = ((0, 6 << 12), (1, -1)), ((-9000, -100, 0, 77, 9000), (1, -1, 1, 1, -1))
WHOLE = 1 << 14


def named(pairs):
    return [pytest.param(p, m, id=f"{p.name}-{'ring' if m.is_ring else 'prime'}") for p, m in pairs]


every = pytest.mark.parametrize(("protocol", "modulus"), named(TAKEN))
with_sign_test = pytest.mark.parametrize(
    ("protocol", "modulus"), named((p, m) for p, m in TAKEN if p.name not in LINEAR)
)


def in_parts(monkeypatch, part):
    """Layers larger than a block, online, and than a part and a group of parts, offline."""
    monkeypatch.setattr(columns, "BLOCK", 64)
    monkeypatch.setattr(garbled, "GROUP", 3)
    monkeypatch.setattr(garbled, "PART", part)
    monkeypatch.setattr(square, "PART", part)
    monkeypatch.setattr(table, "OFFLINE_PART", part)
    monkeypatch.setattr(window_garbled, "SELECT_PART", part)


# ---- values


@with_sign_test
@pytest.mark.parametrize("shift", [0, 8])
@pytest.mark.parametrize(("knots", "coefs"), [SIX, FIVE], ids=["six", "five"])
def test_knots(protocol, modulus, shift, knots, coefs):
    act = layer(protocol.name, modulus, shift, knots, coefs)
    z_s, z_c = split_shares(modulus, values(act, 2))
    y = run(protocol, act, z_s, z_c).y(modulus)
    np.testing.assert_array_equal(y, protocol.simulate(act, z_s, z_c))


@every
def test_over_softspoken(protocol, modulus):
    act = layer(protocol.name, modulus, 8, *SIX)
    z_s, z_c = split_shares(modulus, values(act, 2))
    y = run(protocol, act, z_s, z_c, ot_setups("softspoken")).y(modulus)
    np.testing.assert_array_equal(y, protocol.simulate(act, z_s, z_c))


# ---- cost


@every
@pytest.mark.parametrize(
    ("shift", "terms", "batch", "part", "bits"),
    [(0, 1, 1, WHOLE, 2), (8, 2, 2, 16, 6), (11, 3, 1, 50, 3), (16, 1, 3, WHOLE, 16), (24, 1, 1, 20, 4)],
)
def test_cost_is_what_crosses_the_wire(protocol, modulus, shift, terms, batch, part, bits, monkeypatch):
    in_parts(monkeypatch, part)
    act = layer(protocol.name, modulus, shift, tuple(range(terms)), (1, -1, 1)[:terms], bits=bits)
    z_s, z_c = split_shares(modulus, values(act, batch))
    result, cost = run(protocol, act, z_s, z_c, dealt_cots()), protocol.cost(act, batch)
    assert result.offline.left.bytes_sent == cost.offline.down
    assert result.offline.right.bytes_sent == cost.offline.up
    assert result.offline.rounds == cost.offline.rounds
    assert result.online.left.bytes_sent == cost.online.down
    assert result.online.right.bytes_sent == cost.online.up
    assert result.online.rounds == cost.online.rounds == 1
    assert nbytes(result.sender) == cost.sender_stored
    assert nbytes(result.receiver) == cost.receiver_stored
    tables = sum(kept.tables.nbytes for kept in getattr(result.receiver, "circuit", ()))
    assert tables == cost.table_bytes == 32 * cost.and_gates
    np.testing.assert_array_equal(result.y(modulus), protocol.simulate(act, z_s, z_c))


@pytest.mark.parametrize("k", range(1, 9))
@pytest.mark.parametrize("name", NAMES)
def test_offline_bytes_depend_on_k_as_the_formula_says(name, k):
    protocol, act = by_name(name), layer(name, modulus_for(name), 5, positions=4, bits=4)
    said = offline(protocol, act, np.zeros(act.shape(1), np.uint32), dealt_cots(k))[3]
    cost = protocol.cost(act, 1, k)
    assert (said.left.bytes_sent, said.right.bytes_sent) == (cost.offline.down, cost.offline.up)
    assert said.rounds == cost.offline.rounds
    assert cost.online == protocol.cost(act, 1).online


# ---- misbehaviour and misuse


def faulty(messages, i, change):
    """The messages up to the i-th, that one a byte shorter or longer, or empty."""
    fault = {-1: messages[i][:-1], 1: messages[i] + b"\0", None: b""}[change]
    return [*messages[:i], fault]


@every
@pytest.mark.parametrize("change", [-1, 1, None])
def test_lengths_are_checked(protocol, modulus, change):
    """Every message online, either way, after true ones."""
    act = layer(protocol.name, modulus)
    z_s, z_c = split_shares(modulus, values(act, 1))
    true = run(protocol, act, z_s, z_c)
    down, up = true.online.left_sent, true.online.right_sent

    def receive(messages):
        return run_pair(
            lambda ch: [ch.send(message) for message in messages],
            lambda ch: protocol.online_receiver(ch, act, true.receiver),
        )[2].right_sent

    def send(messages):
        return run_pair(
            lambda ch: protocol.online_sender(ch, act, z_s, true.sender),
            lambda ch: [ch.send(message) for message in messages],
        )[0]

    assert receive(down) == up
    np.testing.assert_array_equal(send(up), true.y_s)
    for i in range(len(down)):
        with pytest.raises(FramingError, match="expected"):
            receive(faulty(down, i, change))
    for i in range(len(up)):
        with pytest.raises(FramingError, match="expected"):
            send(faulty(up, i, change))


@every
@pytest.mark.parametrize("shift", [0, 7])
def test_material_of_four_images_serves_one_and_three(protocol, modulus, shift):
    act = layer(protocol.name, modulus, shift, (0, 50), (1, -1))
    z_s, z_c = split_shares(modulus, values(act, 4))
    y_c, sender, receiver, _ = offline(protocol, act, z_c)
    stocks, y_s = (Stock(), Stock()), []
    for stock, material in zip(stocks, (sender, receiver), strict=True):
        for part in split(material, 2):
            stock.add(part, 2)
        assert nbytes(join(split(material, 1))) == nbytes(material)
    for z in (z_s[:1], z_s[1:]):
        kept, mine = (stock.take(len(z)) for stock in stocks)
        found, _, _ = run_pair(
            lambda ch, z=z, kept=kept: protocol.online_sender(ch, act, z, kept),
            lambda ch, mine=mine: protocol.online_receiver(ch, act, mine),
        )
        y_s.append(found)
    y = modulus.add(np.concatenate(y_s), y_c)
    np.testing.assert_array_equal(y, protocol.simulate(act, z_s, z_c))
    for stock in stocks:
        with pytest.raises(ParameterError, match="0 are in stock"):
            stock.take(1)


@every
def test_material_of_another_batch_or_layer_is_refused(protocol, modulus):
    act, other = (layer(protocol.name, modulus, positions=positions) for positions in (23, 22))
    z_s, z_c = split_shares(modulus, values(act, 2))
    _, sender, receiver, _ = offline(protocol, act, z_c)
    nobody = Nobody()
    with pytest.raises(ParameterError, match="material of shape"):
        protocol.online_sender(nobody, act, z_s[:1], sender)
    with pytest.raises(ParameterError, match="material of shape"):
        protocol.online_sender(nobody, other, z_s[:, :, :22], sender)
    with pytest.raises(ParameterError, match="a share of this layer"):
        protocol.online_sender(nobody, other, z_s, sender)
    with pytest.raises(ParameterError, match=r"material of shape|garbled circuits of 69 elements"):
        protocol.online_receiver(nobody, other, receiver)
    with pytest.raises(ParameterError, match="shares of 2 and 1 images"):
        complete(protocol.offline_receiver(nobody, nobody, act, z_c, z_c[:1], nobody))


@with_sign_test
def test_a_layer_without_knots_is_refused(protocol, modulus):
    check_refused(protocol, layer(protocol.name, modulus, knots=(), coefs=()), "its protocol is `rescale`")


@pytest.mark.parametrize("name", WINDOWED)
def test_a_layer_without_window_or_ring_is_refused(name):
    act = layer(name, RING32)
    for lacking in (replace(act, window=None), replace(act, modulus=PRIME31)):
        check_refused(by_name(name), lacking, f"the {name} protocol needs a window, and the ring")
