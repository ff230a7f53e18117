"""Yao's protocol for one circuit on a batch of images: tables offline, the garbler's labels online.

Semi-honest. [LP09] Lindell, Pinkas. A Proof of Security of Yao's Protocol. J. Cryptology 2009, eprint
2004/175, with half gates [ZRE15] and free-XOR; the evaluator's labels are COTs under the garbler's Δ.

            garbler: Δ, K, fixed bits                  evaluator: its bits y as choices, M = K ⊕ y·Δ
 offline    a seed for each image
 (1)        T, c^0 = garble(...)        →  T  →        keeps T and M
 output     the permute bits p of c^0
 online     its bits x
 (2)        W = G(seed) ⊕ x·Δ           →  W  →        c = evaluate(W, M, T)
 output                                                the colours s of c

The circuit's value is s XOR p: a one-bit share each, if nothing more is sent. To give the value to the
evaluator, the garbler sends p (offline will do); to give it to the garbler, the evaluator sends s. Either is
one bit an output.

Bytes: (1) 32 an AND, (2) 16 an input of the garbler, each for every instance; one message an image. The
evaluator's labels travel in the OT extension. The zero messages K are the zero labels of its inputs as they
are, with no ciphertext.

The COTs of a batch lie in the order [image][wire][instance], as `y.reshape(-1)` of bits (batch, wires,
instances). Their numbers also make the tweaks, in the half of the tweaks that `ot.cots` leaves to garblers:
COTs j.. of one image give it the tweaks from 2^63 + 256·j on, so COTs used once mean tweaks used once.

Every array has the image as its first axis: material for four images may be used for one and then for three.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel, recv_array, send_array
from ..errors import ParameterError
from ..ot.cots import ReceivedCots, SentCots
from ..prg import SEED_BYTES, Prg
from .circuit import Circuit
from .halfgates import ActiveLabels, Tables, ZeroLabels, empty_tables, encode, evaluate, garble

__all__ = [
    "EvaluatorMaterial",
    "GarblerMaterial",
    "evaluate_online",
    "garble_offline",
    "label_bytes",
    "receive_offline",
    "send_online",
    "table_bytes",
]

GARBLING = 1 << 63  # the tweaks of garblers
TWEAKS_PER_COT = 256

Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class GarblerMaterial:
    """What the garbler keeps: a seed for its inputs' zero labels, and Δ, of every image."""

    seeds: NDArray[np.uint8]  # (batch, 16)
    delta: NDArray[np.uint64]  # (batch, 2)


@dataclass(frozen=True)
class EvaluatorMaterial:
    """What the evaluator keeps: the tables, its inputs' labels, the first tweak of every image."""

    tables: Tables  # (batch, ANDs, 2, instances, 2)
    labels: NDArray[np.uint64]  # (batch, wires, instances, 2)
    tweaks: NDArray[np.uint64]  # (batch,)


def garble_offline(
    ch: Channel, circuit: Circuit, cots: SentCots, fixed: Bits, prg: Prg
) -> tuple[GarblerMaterial, Bits]:
    """Garbler, offline: sends the tables. Returns its material and the outputs' permute bits.

    `fixed` (batch, wires, instances) says how many images and instances there are, also with 0 wires; the
    permute bits are (batch, outputs, instances). Raises ParameterError where the COTs are not as many.
    """
    batch, _, instances = fixed.shape
    K = cots.K.reshape(_label_shape(circuit, len(cots), batch, instances))
    material = GarblerMaterial(
        prg.bytes(batch * SEED_BYTES).reshape(batch, -1), np.tile(cots.delta, (batch, 1))
    )
    permute = np.empty((batch, circuit.outputs.size, instances), np.uint8)
    tables = empty_tables(circuit, instances)
    for image, tweak in enumerate(_tweaks(circuit, cots.tweak, batch, instances)):
        own = _zero_labels(circuit, material.seeds[image], instances)
        peers = ZeroLabels(K[image])
        _, outputs = garble(circuit, own, fixed[image], peers, cots.delta, tweak, out=tables)
        send_array(ch, tables)  # (1)
        permute[image] = outputs.permute_bits()
    return material, permute


def receive_offline(ch: Channel, circuit: Circuit, cots: ReceivedCots, batch: int) -> EvaluatorMaterial:
    """Evaluator, offline: receives the tables; the COTs' choices were the evaluator's bits."""
    instances = len(cots) // max(1, batch * circuit.evaluator_inputs)
    M = cots.M.reshape(_label_shape(circuit, len(cots), batch, instances))
    tweaks = np.array(_tweaks(circuit, cots.tweak, batch, instances), np.uint64)
    tables = np.empty((batch, circuit.ands, 2, instances, 2), np.uint64)
    for image in range(batch):
        tables[image] = recv_array(ch, np.uint64, tables.shape[1:])  # (1)
    return EvaluatorMaterial(tables, M, tweaks)


def send_online(ch: Channel, circuit: Circuit, material: GarblerMaterial, bits: Bits) -> None:
    """Garbler, online: sends the labels of its bits (batch, wires, instances)."""
    batch, wires, instances = bits.shape
    if (batch, wires) != (len(material.seeds), circuit.garbler_inputs):
        raise ParameterError(
            f"material of {len(material.seeds)} images and {circuit.garbler_inputs} garbler's inputs, "
            f"for bits of {batch} images and {wires} wires"
        )
    for seed, delta, image in zip(material.seeds, material.delta, bits, strict=True):
        zero = _zero_labels(circuit, seed, instances)
        send_array(ch, encode(zero, delta, image).blocks)  # (2)


def evaluate_online(ch: Channel, circuit: Circuit, material: EvaluatorMaterial) -> Bits:
    """Evaluator, online: receives the labels; returns the colours (batch, outputs, instances)."""
    batch, instances = material.tables.shape[0], material.tables.shape[3]
    colours = np.empty((batch, circuit.outputs.size, instances), np.uint8)
    shape = (circuit.garbler_inputs, instances, 2)
    for image in range(batch):
        labels = ActiveLabels(recv_array(ch, np.uint64, shape))  # (2)
        own, tweak = ActiveLabels(material.labels[image]), int(material.tweaks[image])
        colours[image] = evaluate(circuit, labels, own, material.tables[image], tweak).colours()
    return colours


def table_bytes(circuit: Circuit, instances: int) -> int:
    """Message (1)."""
    return 32 * circuit.ands * instances


def label_bytes(circuit: Circuit, instances: int) -> int:
    """Message (2)."""
    return 16 * circuit.garbler_inputs * instances


def _zero_labels(circuit: Circuit, seed: NDArray[np.uint8], instances: int) -> ZeroLabels:
    return ZeroLabels(Prg(seed.tobytes()).uint64((circuit.garbler_inputs, instances, 2)))


def _tweaks(circuit: Circuit, first_cot: int, batch: int, instances: int) -> list[int]:
    """The first tweak of each image."""
    if 2 * circuit.ands > TWEAKS_PER_COT * circuit.evaluator_inputs:
        raise ParameterError(
            f"{circuit.evaluator_inputs} inputs of the evaluator number at most "
            f"{TWEAKS_PER_COT * circuit.evaluator_inputs // 2} ANDs, and the circuit has {circuit.ands}"
        )
    cots = circuit.evaluator_inputs * instances
    return [GARBLING + TWEAKS_PER_COT * (first_cot + image * cots) for image in range(batch)]


def _label_shape(circuit: Circuit, cots: int, batch: int, instances: int) -> tuple[int, int, int, int]:
    if cots != batch * circuit.evaluator_inputs * instances:
        raise ParameterError(
            f"{batch} images of {instances} instances take {circuit.evaluator_inputs} COTs an instance, "
            f"got {cots} in all"
        )
    return batch, circuit.evaluator_inputs, instances, 2
