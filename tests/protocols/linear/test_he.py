"""The protocol, real and ideal: exact on every geometry, exact bytes, one round trip, fresh randomness."""

from functools import cache

import numpy as np
import pytest
from convolution import LAYERS, convolve

from circa.protocols.channel import memory_pair
from circa.protocols.errors import ParameterError
from circa.protocols.linear import he, ideal, plan, seal_sender
from circa.protocols.linear import weights as weights_module
from circa.protocols.linear.cost import cost, setup_bytes
from circa.protocols.linear.noise import flood_bits, worst_noise
from circa.protocols.linear.parameters import B4096
from circa.protocols.linear.seal import context
from circa.protocols.linear.seal_receiver import SealReceiver
from circa.protocols.linear.shape import LinearShape
from circa.protocols.linear.weights import WeightCache
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31, RING32
from harness import run_pair

MODULI = {"ring": RING32, "prime": PRIME31}
CONV, DENSE = LAYERS["3x3"], LinearShape.fully_connected(20, 6)


@pytest.fixture(params=[he, ideal], ids=["he", "ideal"])
def roles(request):
    """A module with LinearSender and LinearReceiver."""
    return request.param


@pytest.fixture
def on_seal(monkeypatch):
    """SEAL as both engines, for tests that look into it."""
    for module in (he, weights_module):
        monkeypatch.setattr(module, "sender_backend", seal)
    monkeypatch.setattr(he, "receiver_backend", SealReceiver)


@cache
def seal(parameters, modulus):
    return seal_sender.SealSender(parameters, modulus)


def data(shape, batch, modulus, largest=1 << 15):
    """Weights of all 16 bits and uniform residues."""
    rng = np.random.default_rng(2)
    weights = rng.integers(-largest, largest, shape.weight_shape)
    weights.flat[:2] = -largest, largest - 1
    return weights, modulus.uniform(Prg(b"the input's mask"), (batch, *shape.input_shape))


def run(roles, layers, modulus, parameters="B4096", seed=b"the sender's prg"):
    """All layers in one session, the requests sent ahead. `layers`: (shape, weights, r)."""

    def sender(ch):
        role = roles.LinearSender(modulus, Prg(seed), parameters)
        role.setup(ch)
        prepared = [role.prepare(modulus, shape, weights, parameters) for shape, weights, _ in layers]
        return [role.respond(ch, p, r.shape[0]) for p, (_, _, r) in zip(prepared, layers, strict=True)]

    def receiver(ch):
        role = roles.LinearReceiver(modulus, parameters)
        role.setup(ch)
        for shape, _, r in layers:
            role.request(ch, shape, r)
        return [role.receive(ch, shape, r.shape[0]) for shape, _, r in layers]

    return run_pair(sender, receiver)


def check(layers, masks, shares, modulus):
    for (shape, weights, r), s, share in zip(layers, masks, shares, strict=True):
        assert s.dtype == share.dtype == np.uint32
        np.testing.assert_array_equal(modulus.add(s, share), convolve(shape, weights, r, modulus))


@pytest.mark.parametrize("modulus", MODULI.values(), ids=MODULI)
def test_every_geometry_is_exact(roles, modulus):
    """s + (W r - s) == W r, all layers of one session requested ahead, batches of 1 to 3."""
    layers = [(shape, *data(shape, 1 + i % 3, modulus)) for i, shape in enumerate(LAYERS.values())]
    masks, shares, _ = run(roles, layers, modulus)
    check(layers, masks, shares, modulus)


@pytest.mark.parametrize("modulus", MODULI.values(), ids=MODULI)
@pytest.mark.parametrize("name", ["3x3", "dilated", "depthwise", "fully connected"])
def test_the_conservative_parameters_are_exact(modulus, name):
    layers = [(LAYERS[name], *data(LAYERS[name], 2, modulus))]
    masks, shares, _ = run(he, layers, modulus, "A8192")
    check(layers, masks, shares, modulus)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_share_polynomials(roles, batch):
    layers = [(shape, *data(shape, batch, RING32)) for shape in (DENSE, LinearShape(2, 4, 4, 3, (3, 3)))]
    masks, shares, _ = run(roles, layers, RING32)
    check(layers, masks, shares, RING32)
    if batch == 64:
        assert (cost(DENSE, batch).messages_up, cost(DENSE, batch).messages_down) == (1, 2)


@pytest.mark.parametrize("parameters", ["B4096", "A8192"])
def test_bytes_messages_and_rounds_are_those_of_the_cost(parameters):
    for shape, batch in ((CONV, 1), (CONV, 9), (LAYERS["rows cut"], 2), (LAYERS["depthwise"], 5), (DENSE, 3)):
        layers = [(shape, *data(shape, batch, RING32))]
        _, _, transcript = run(he, layers, RING32, parameters)
        expected = cost(shape, batch, parameters)
        assert transcript.right.bytes_sent == setup_bytes(parameters) + expected.bytes_up
        assert transcript.left.bytes_sent == expected.bytes_down
        assert len(transcript.right_sent) == 1 + expected.messages_up
        assert len(transcript.left_sent) == expected.messages_down
        assert transcript.rounds == 1


def test_a_response_carries_c1_and_its_outputs_only():
    """6 outputs: c1 takes 4096 * 46 bits, c0 6 * 46."""
    _, _, transcript = run(he, [(DENSE, *data(DENSE, 1, RING32))], RING32)
    assert [len(m) for m in transcript.left_sent] == [4096 * 46 // 8 + (6 * 46 + 7) // 8]


def test_waves_give_the_same_shares(monkeypatch):
    shape = LAYERS["rows cut"]
    layers = [(shape, *data(shape, 2, RING32))]
    chosen = plan.make_plan(shape, 2, B4096)
    assert len(chosen.blocks) > 2
    assert list(chosen.waves()) == [chosen.blocks]
    masks, shares, _ = run(he, layers, RING32)
    check(layers, masks, shares, RING32)
    monkeypatch.setattr(plan, "_HELD_BYTES", 1)
    assert list(chosen.waves()) == [(block,) for block in chosen.blocks]
    masks, shares, _ = run(he, layers, RING32)
    check(layers, masks, shares, RING32)


def test_progress_counts_polynomials():
    shape, (weights, r) = CONV, data(CONV, 9, RING32)
    left, right = memory_pair()
    sender, receiver = he.LinearSender(RING32, Prg(bytes(16))), he.LinearReceiver(RING32)
    calls = {"request": [], "respond": [], "receive": []}
    receiver.setup(right)
    sender.setup(left)
    receiver.request(right, shape, r, lambda *c: calls["request"].append(c))
    sender.respond(left, sender.prepare(RING32, shape, weights), 9, lambda *c: calls["respond"].append(c))
    receiver.receive(right, shape, 9, lambda *c: calls["receive"].append(c))
    up, down = cost(shape, 9).messages_up, cost(shape, 9).messages_down
    assert calls["request"] == [(i + 1, up) for i in range(up)]
    assert calls["respond"] == calls["receive"] == [(i + 1, down) for i in range(down)]


@pytest.mark.parametrize("weights", ["zero", "sparse"])
def test_zero_weight_polynomials_are_skipped_and_still_masked(weights):
    shape = LinearShape.fully_connected(5000, 4)
    values, r = data(shape, 1, RING32)
    values[:, 100:] = 0
    if weights == "zero":
        values[:] = 0
    masks, shares, _ = run(he, [(shape, values, r)], RING32)
    check([(shape, values, r)], masks, shares, RING32)
    assert len(np.unique(shares[0])) == 4


def test_requests_use_fresh_seeds_and_keys():
    layers = [(DENSE, *data(DENSE, 1, RING32))] * 3
    _, _, first = run(he, layers, RING32)
    _, _, second = run(he, layers, RING32)
    messages = first.right_sent + second.right_sent
    assert len({m[-64:] for m in messages}) == len({m[:64] for m in messages}) == 8


def respond(requests, seed, weights, shape=DENSE):
    """The sender's answer to given bytes, and s."""
    left, right = memory_pair()
    right.send(requests[0]), right.send(requests[1])
    left.record()
    sender = he.LinearSender(RING32, Prg(seed))
    sender.setup(left)
    prepared = sender.prepare(RING32, shape, weights)
    s = sender.respond(left, prepared, 1)
    right.send(requests[1])
    again = sender.respond(left, prepared, 1)
    return list(left.sent), s, again


def test_every_secret_of_the_sender_comes_from_its_prg_and_none_is_used_twice():
    weights, r = data(DENSE, 1, RING32)
    _, _, transcript = run(he, [(DENSE, weights, r)], RING32)
    messages, s, again = respond(transcript.right_sent, b"seed of a sender", weights)
    repeated, s_repeated, _ = respond(transcript.right_sent, b"seed of a sender", weights)
    others, s_others, _ = respond(transcript.right_sent, b"seed of another.", weights)
    assert messages == repeated
    np.testing.assert_array_equal(s, s_repeated)
    assert len({messages[0], messages[1], others[0], others[1]}) == 4
    assert (s != again).all()
    assert (s != s_others).all()


def test_every_response_is_rerandomised(on_seal, monkeypatch):
    """c1 carries a fresh u a and a fresh e1: with a constant for one of them, it changes by just that."""
    weights, r = data(DENSE, 1, RING32)
    _, _, transcript = run(he, [(DENSE, weights, r)], RING32)
    chosen = context(B4096, RING32.value)
    drop, polynomials, drawn = chosen.drop, [], []

    def keep(ciphertext):
        polynomials.append(chosen.words(ciphertext)[1, 0].astype(np.int64))
        drop(ciphertext)

    def fixed(name, constant):
        """The c1, modulo the first prime, of two responses with a constant for what the sampler draws."""
        polynomials.clear(), drawn.clear()
        sample = getattr(seal_sender, name)

        def replaced(*arguments):
            drawn.append(sample(*arguments))
            return constant

        with monkeypatch.context() as patch:
            patch.setattr(seal_sender, name, replaced)
            respond(transcript.right_sent, b"seed of a sender", weights)
        return list(polynomials)

    monkeypatch.setattr(chosen, "drop", keep)
    respond(transcript.right_sent, b"seed of a sender", weights)
    whole = list(polynomials)
    assert (whole[0] != whole[1]).mean() > 0.99
    for full, bare, error in zip(
        whole, fixed("centred_binomial", np.zeros(4096, np.int64)), drawn, strict=True
    ):
        np.testing.assert_array_equal((full - bare - error) % chosen.primes[0], 0)
    assert (drawn[0] != drawn[1]).any()
    for full, bare in zip(whole, fixed("ternary", np.eye(1, 4096, dtype=np.int64)[0]), strict=True):
        assert (full != bare).mean() > 0.99
    assert (drawn[0] != drawn[1]).any()


@pytest.mark.parametrize("end", ["lowest", "highest"])
@pytest.mark.parametrize("parameters", ["B4096", "A8192"])
@pytest.mark.parametrize("modulus", MODULI.values(), ids=MODULI)
def test_the_extremes_of_the_flood_decrypt_exactly(on_seal, monkeypatch, modulus, parameters, end):
    shape = LinearShape.fully_connected(4096, 3)
    layers = [(shape, *data(shape, 1, modulus, 1 << 14))]

    def extreme(excess):
        def flood(prg, bits, n, primes):
            value = -(1 << bits + excess) if end == "lowest" else (1 << bits + excess) - 1
            return np.array([[value % q] * n for q in primes], np.uint64)

        return flood

    monkeypatch.setattr(seal_sender, "signed_uniform", extreme(0))
    masks, shares, _ = run(he, layers, modulus, parameters)
    check(layers, masks, shares, modulus)
    monkeypatch.setattr(seal_sender, "signed_uniform", extreme(3))  # eight times more is too much
    masks, shares, _ = run(he, layers, modulus, parameters)
    assert (modulus.add(masks[0], shares[0]) != convolve(*layers[0], modulus)).all()


def test_the_noise_before_the_flood_is_within_its_bound(on_seal, monkeypatch):
    """The error as the receiver measures it, without the flood, against the worst case of the margin."""
    shape = LinearShape.fully_connected(4096, 1)
    weights, r = data(shape, 1, RING32)
    chosen, seen = context(B4096, RING32.value), []
    drop = chosen.drop
    left, right = memory_pair()
    receiver, sender = he.LinearReceiver(RING32), he.LinearSender(RING32, Prg(bytes(16)))

    def measuring(ciphertext):
        seen.append(receiver._keys.keys._decryptor.invariant_noise_budget(ciphertext))
        drop(ciphertext)

    monkeypatch.setattr(chosen, "drop", measuring)
    monkeypatch.setattr(
        seal_sender, "signed_uniform", lambda prg, bits, n, primes: np.zeros((len(primes), n), np.uint64)
    )
    receiver.setup(right)
    sender.setup(left)
    receiver.request(right, shape, r)
    sender.respond(left, sender.prepare(RING32, shape, weights), 1)
    margin = flood_bits(chosen) - np.log2(worst_noise(4096, weights))
    assert margin < seen[0] < margin + 15


def test_the_cache_is_bounded_and_follows_the_plan():
    weights, r = data(CONV, 20, RING32)
    size = cost(CONV, 1).prepared_bytes
    for limit in (0, size - 1, size, 1 << 30):
        cache = WeightCache(limit)
        left, right = memory_pair()
        sender, receiver = he.LinearSender(RING32, Prg(bytes(16))), he.LinearReceiver(RING32)
        receiver.setup(right)
        sender.setup(left)
        prepared = sender.prepare(RING32, CONV, weights, cache=cache)
        for batch in (1, 1, 20, 1):
            receiver.request(right, CONV, r[:batch])
            s = sender.respond(left, prepared, batch)
            share = receiver.receive(right, CONV, batch)
            np.testing.assert_array_equal(RING32.add(s, share), convolve(CONV, weights, r[:batch], RING32))
            assert cache.used <= limit
        assert cache.used == (size if limit >= size else 0)
        del prepared
        assert cache.used == 0


def test_prepared_rows_are_reused():
    weights, _ = data(CONV, 1, RING32)
    prepared = he.LinearSender.prepare(RING32, CONV, weights, cache=WeightCache())
    chosen = plan.make_plan(CONV, 1, B4096)
    assert prepared.row(chosen, 0) is prepared.row(chosen, 0)
    kept_out = he.LinearSender.prepare(RING32, CONV, weights, cache=WeightCache(0))
    assert kept_out.row(chosen, 0) is not kept_out.row(chosen, 0)


def test_wrong_arguments_are_refused(roles):
    weights, _ = data(CONV, 1, RING32)
    _, right = memory_pair()
    sender, receiver = roles.LinearSender(RING32, Prg(bytes(16))), roles.LinearReceiver(RING32)
    with pytest.raises(ParameterError, match="shape"):
        sender.prepare(RING32, CONV, weights[:1])
    with pytest.raises(ParameterError, match="16-bit"):
        sender.prepare(RING32, CONV, weights * 2)
    with pytest.raises(ParameterError, match="expected uint32"):
        receiver.request(right, CONV, np.zeros(CONV.input_shape, np.uint32))
    with pytest.raises(ParameterError, match="parameter set"):
        roles.LinearReceiver(RING32, "B2048")


def test_a_layer_prepared_for_other_parameters_or_before_setup_is_refused():
    weights, _ = data(CONV, 1, RING32)
    left, _ = memory_pair()
    sender = he.LinearSender(RING32, Prg(bytes(16)))
    with pytest.raises(ParameterError, match="setup"):
        sender.respond(left, sender.prepare(RING32, CONV, weights), 1)
    for other in (sender.prepare(PRIME31, CONV, weights), sender.prepare(RING32, CONV, weights, "A8192")):
        with pytest.raises(ParameterError, match="prepared for"):
            sender.respond(left, other, 1)


def test_weights_that_the_flood_would_not_hide_are_refused():
    shape = LinearShape.fully_connected(1 << 13, 1)
    weights = np.full(shape.weight_shape, (1 << 15) - 1)
    with pytest.raises(ParameterError, match="circuit privacy"):
        he.LinearSender.prepare(RING32, shape, weights)
    he.LinearSender.prepare(RING32, shape, weights, "A8192")
