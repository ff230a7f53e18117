import dataclasses
import itertools

import numpy as np
import pytest
from otpairs import ot_setups
from wire import check_baseline

from circa.protocols.channel import recv_array, send_array
from circa.protocols.errors import FramingError, ParameterError
from circa.protocols.garbling.circuit import Builder
from circa.protocols.garbling.plain import evaluate_plain, to_bits
from circa.protocols.garbling.relu_circuits import share_choices, stochastic_sign, window_sign
from circa.protocols.garbling.yao import (
    evaluate_online,
    garble_offline,
    label_bytes,
    receive_offline,
    send_online,
    table_bytes,
)
from circa.protocols.packing import pack_bits, packed_size, unpack_bits
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31
from harness import run_pair

BATCH, INSTANCES = 4, 11


def images(prg, wires):
    return prg.bits((BATCH, wires, INSTANCES))


def offline(setups, circuit, fixed, bits, batch=BATCH):
    """Both roles of the offline phase; COTs that are not ours come first, so that numbers do not start at
    0."""

    def garbler(ch):
        ot = setups[0](ch)
        ot.sender.extend(5)
        cots = ot.sender.extend(bits.size)
        start = ch.traffic.copy()
        return *garble_offline(ch, circuit, cots, fixed, Prg(b"garbler seed 016")), ch.traffic.since(start)

    def evaluator(ch):
        ot = setups[1](ch)
        ot.receiver.extend(np.zeros(5, np.uint8))
        return receive_offline(ch, circuit, ot.receiver.extend(bits.reshape(-1)), batch)

    (material_g, permute, traffic), material_e, transcript = run_pair(garbler, evaluator)
    assert traffic.bytes_sent == table_bytes(circuit, batch * bits.shape[2])
    assert traffic.bytes_received == 0
    return material_g, permute, material_e, transcript


def online(circuit, material_g, material_e, bits):
    _, colours, transcript = run_pair(
        lambda ch: send_online(ch, circuit, material_g, bits),
        lambda ch: evaluate_online(ch, circuit, material_e),
    )
    assert transcript.left.bytes_sent == label_bytes(circuit, bits.shape[0] * bits.shape[2])
    assert transcript.right.bytes_sent == 0
    assert transcript.rounds == 1
    return colours, transcript


def plain(circuit, garbler, fixed, evaluator):
    return np.stack(
        [evaluate_plain(circuit, *image) for image in zip(garbler, fixed, evaluator, strict=True)]
    )


def window_inputs(n=6):
    prg = Prg(b"window inputs...")
    return window_sign(n), images(prg, n), images(prg, 0), images(prg, n)


def test_window_sign_is_a_one_bit_share(ot):
    circuit, a, fixed, t = window_inputs()
    material_g, permute, material_e, _ = offline(ot, circuit, fixed, t)
    colours, _ = online(circuit, material_g, material_e, a)
    assert permute.shape == colours.shape == (BATCH, 1, INSTANCES)
    assert np.array_equal(colours ^ permute, plain(circuit, a, fixed, t))


def test_circa_sign_with_the_decoding_sent_offline(ot):
    """The share MUX: the evaluator decodes sign - r, the garbler holds r."""
    circuit = stochastic_sign(PRIME31, 12, "poszero")
    prg = Prg(b"circa inputs....")
    a, t, r = images(prg, 19), images(prg, 19), PRIME31.uniform(prg, (BATCH, INSTANCES))
    fixed = share_choices(r, PRIME31)
    material_g, permute, material_e, _ = offline(ot, circuit, fixed, t)
    colours, _ = online(circuit, material_g, material_e, a)

    def evaluator(ch):
        size = packed_size(colours.size, 1)
        return colours ^ unpack_bits(recv_array(ch, np.uint8, size), colours.size).reshape(colours.shape)

    _, decoded, _ = run_pair(lambda ch: send_array(ch, pack_bits(permute)), evaluator)
    assert np.array_equal(decoded, plain(circuit, a, fixed, t))


def parts(material, *sizes):
    bounds = np.cumsum([0, *sizes])
    return [
        dataclasses.replace(material, **{k: v[i:j] for k, v in vars(material).items()})
        for i, j in itertools.pairwise(bounds)
    ]


def test_material_of_four_images_serves_one_and_then_three():
    circuit, a, fixed, t = window_inputs()
    material_g, permute, material_e, _ = offline(ot_setups("ideal"), circuit, fixed, t)
    whole, _ = online(circuit, material_g, material_e, a)
    split = [
        online(circuit, g, e, bits)[0]
        for g, e, bits in zip(parts(material_g, 1, 3), parts(material_e, 1, 3), (a[:1], a[1:]), strict=True)
    ]
    assert np.array_equal(np.concatenate(split), whole)
    assert np.array_equal(whole ^ permute, plain(circuit, a, fixed, t))


def test_wire_baseline():
    circuit, a, fixed, t = window_inputs()
    material_g, _, material_e, transcript = offline(ot_setups("ideal"), circuit, fixed, t)
    check_baseline("yao-window-6-offline", transcript)
    check_baseline("yao-window-6-online", online(circuit, material_g, material_e, a)[1])


def test_evaluator_view_has_no_pair_differing_by_delta(ot):
    """Tables, the garbler's labels and the evaluator's own; 0 is the label of fixed inputs. No seed, no
    delta."""
    circuit = stochastic_sign(PRIME31, 17, "negpass")
    prg = Prg(b"inputs of a leak")
    a, t = images(prg, 14), images(prg, 14)
    fixed = share_choices(PRIME31.uniform(prg, (BATCH, INSTANCES)), PRIME31)
    material_g, _, material_e, offline_wire = offline(ot, circuit, fixed, t)
    _, online_wire = online(circuit, material_g, material_e, a)
    received = b"".join(offline_wire.left_sent[-BATCH:] + online_wire.left_sent)
    view = [np.frombuffer(received, np.uint64), material_e.tables, material_e.labels, np.zeros(2, np.uint64)]
    blocks = np.concatenate([x.reshape(-1, 2) for x in view])
    delta = material_g.delta[0]
    assert not {x.tobytes() for x in blocks} & {x.tobytes() for x in blocks ^ delta}
    for seed in material_g.seeds:
        assert seed.tobytes() not in received


def test_lengths_do_not_depend_on_inputs():
    circuit, a, fixed, t = window_inputs()
    lengths = []
    for x, y in ((a, t), (np.zeros_like(a), np.ones_like(t))):
        material_g, _, material_e, first = offline(ot_setups("ideal"), circuit, fixed, y)
        _, second = online(circuit, material_g, material_e, x)
        lengths.append([len(message) for message in first.left_sent + second.left_sent])
    assert lengths[0] == lengths[1] == [32 * 5 * INSTANCES] * BATCH + [16 * 6 * INSTANCES] * BATCH


def test_tweaks_of_images_and_of_cots_do_not_meet():
    """Each image's 2·ANDs·instances tweaks lie in bit 63 and within 256 a COT."""
    circuit, _, fixed, t = window_inputs()
    _, _, material_e, _ = offline(ot_setups("ideal"), circuit, fixed, t)
    tweaks = [int(tweak) for tweak in material_e.tweaks]
    assert tweaks[0] == (1 << 63) + 256 * 5
    assert all(b - a == 256 * 6 * INSTANCES for a, b in itertools.pairwise(tweaks))
    assert 2 * circuit.ands * INSTANCES <= 256 * 6 * INSTANCES


def test_a_circuit_with_more_ands_than_tweaks_is_refused():
    b = Builder()
    (x,), (y,) = b.garbler(1), b.evaluator(1)
    for wire in b.garbler(129):
        y = b.and_(y, b.xor(wire, x))
    circuit = b.finish([y])
    with pytest.raises(ParameterError, match="number at most 128 ANDs, and the circuit has 129"):
        offline(
            ot_setups("ideal"), circuit, np.zeros((BATCH, 0, 1), np.uint8), np.zeros((BATCH, 1, 1), np.uint8)
        )


@pytest.mark.parametrize("change", [lambda m: m[:-1], lambda m: m + b"\0", lambda m: b""])
def test_messages_of_another_length_are_refused(change):
    circuit, a, fixed, t = window_inputs()
    material_g, _, material_e, wire = offline(ot_setups("ideal"), circuit, fixed, t)
    _, online_wire = online(circuit, material_g, material_e, a)
    setups = ot_setups("ideal")

    def late_evaluator(ch):
        return receive_offline(ch, circuit, setups[1](ch).receiver.extend(t.reshape(-1)), BATCH)

    with pytest.raises(FramingError, match="expected a message of 1760 bytes"):
        run_pair(lambda ch: ch.send(change(wire.left_sent[0])), late_evaluator)
    with pytest.raises(FramingError, match="expected a message of 1056 bytes"):
        run_pair(
            lambda ch: ch.send(change(online_wire.left_sent[0])),
            lambda ch: evaluate_online(ch, circuit, material_e),
        )


def test_arguments_that_do_not_fit_are_refused():
    circuit, a, fixed, t = window_inputs()
    material_g, _, _, _ = offline(ot_setups("ideal"), circuit, fixed, t)
    for bits in (a[:3], a[:, :5]):
        with pytest.raises(ParameterError, match="material of 4 images and 6 garbler's inputs"):
            run_pair(lambda ch, bits=bits: send_online(ch, circuit, material_g, bits), lambda ch: None)
    with pytest.raises(
        ParameterError, match=r"4 images of \d+ instances take 6 COTs an instance, got 60 in all"
    ):
        offline(ot_setups("ideal"), circuit, fixed, t[:, :, :10].reshape(-1)[:60].reshape(1, 6, 10))


def test_bits_of_values_fit_the_batch():
    values = np.arange(BATCH * INSTANCES, dtype=np.uint32).reshape(BATCH, INSTANCES)
    assert to_bits(values, 6).shape == (BATCH, 6, INSTANCES)
