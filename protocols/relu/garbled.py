"""One garbled circuit for every element of a layer: garbling/yao.py in parts, on words of residues.

Semi-honest; the figure is that of yao.py, the sender garbles. An image's elements are its instances, taken
`PART` at a time: messages of tables stay small (31 MB for Delphi's circuit, below which the allocator uses
the same memory again), and the evaluator works on one part while the garbler encodes the next. Offline a
group of `GROUP` parts takes one round trip, a step each way (steps.py), the first of them up: all its COT
choices, then its tables down part by part.

A word is a value of at most 32 bits an element; wire i carries bit i. Arrays are (batch, ..., elements).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..channel import Channel
from ..errors import ParameterError
from ..garbling import yao
from ..garbling.circuit import Circuit
from ..ot import OtPair
from ..ot.softspoken import extension_bytes
from ..prg import SEED_BYTES, Prg
from ..steps import Steps
from .arithmetic import Residues

__all__ = [
    "GROUP",
    "PART",
    "Evaluator",
    "Garbler",
    "evaluate_layer",
    "garble_layer",
    "offline_bytes",
    "parts",
    "receive_layer",
    "send_layer",
    "stored_bytes",
    "words",
    "words_numpy",
]

PART = 1 << 12  # instances
GROUP = 16  # parts

Bits = NDArray[np.uint8]
Garbler = tuple[yao.GarblerMaterial, ...]  # of each part
Evaluator = tuple[yao.EvaluatorMaterial, ...]


def parts(elements: int) -> Iterator[slice]:
    return (slice(start, min(start + PART, elements)) for start in range(0, elements, PART))


# ---- offline


def garble_layer(
    ch: Channel, ot: OtPair, circuit: Circuit, fixed: Bits, prg: Prg
) -> Steps[tuple[Garbler, Bits]]:
    """Sender: garbles. Returns its material and the outputs' permute bits, (batch, outputs, elements).

    `fixed` holds the bits of the circuit's fixed inputs, (batch, wires, elements), also with 0 wires.
    """
    batch, _, elements = fixed.shape
    kept, permute = [], np.empty((batch, circuit.outputs.size, elements), np.uint8)
    for i, group in enumerate(_groups(elements)):
        if i:
            yield
        size, done = batch * circuit.evaluator_inputs, 0
        cots = ot.sender.extend(size * _instances(group))
        yield
        for at in group:
            part = cots.part(done, done + size * (at.stop - at.start))
            material, permute[:, :, at] = yao.garble_offline(ch, circuit, part, fixed[:, :, at], prg)
            kept.append(material)
            done += len(part)
    return tuple(kept), permute


def receive_layer(ch: Channel, ot: OtPair, circuit: Circuit, bits: Bits) -> Steps[Evaluator]:
    """Receiver: takes the labels of its bits, (batch, wires, elements), and the tables."""
    kept = []
    for i, group in enumerate(_groups(bits.shape[-1])):
        if i:
            yield
        choices, done = [bits[:, :, at].reshape(-1) for at in group], 0
        cots = ot.receiver.extend(np.concatenate(choices))
        yield
        for chosen in choices:
            part = cots.part(done, done + chosen.size)
            kept.append(yao.receive_offline(ch, circuit, part, bits.shape[0]))
            done += chosen.size
    return tuple(kept)


# ---- online


def send_layer(ch: Channel, circuit: Circuit, kept: Garbler, bits: Bits) -> None:
    """Sender: sends the labels of its bits, (batch, wires, elements)."""
    for at, material in zip(parts(bits.shape[-1]), kept, strict=True):
        yao.send_online(ch, circuit, material, bits[:, :, at])


def evaluate_layer(
    ch: Channel, circuit: Circuit, kept: Evaluator, elements: int
) -> Iterator[tuple[slice, Bits]]:
    """Receiver: for each part, its elements and the colours (batch, outputs, elements of the part).

    Raises ParameterError, before anything is received, where the material is of another circuit or layer.
    """
    found = sum(material.tables.shape[3] for material in kept)
    if found != elements or any(material.tables.shape[1] != circuit.ands for material in kept):
        raise ParameterError(
            f"garbled circuits of {found} elements, for another circuit or {elements} elements"
        )
    start = 0
    for material in kept:
        colours = yao.evaluate_online(ch, circuit, material)
        yield slice(start, start + colours.shape[-1]), colours
        start += colours.shape[-1]


def words(bits: Bits, width: int) -> Residues:
    """The words of the first `width` wires: (batch, wires, elements) to (batch, elements)."""
    fast = kernels.native()
    if fast is None:
        return words_numpy(bits, width)
    out = np.empty((bits.shape[0], bits.shape[2]), np.uint32)
    fast.words(np.ascontiguousarray(bits), width, out)
    return out


def words_numpy(bits: Bits, width: int) -> Residues:
    """The definition of `words`."""
    total = bits[:, 0].astype(np.uint32)
    for i in range(1, width):
        total |= bits[:, i].astype(np.uint32) << np.uint32(i)
    return total


# ---- cost


def offline_bytes(circuit: Circuit, batch: int, elements: int, ot_k: int) -> tuple[int, int, int]:
    """Bytes from the sender, bytes from the receiver, round trips."""
    sizes = [batch * circuit.evaluator_inputs * _instances(group) for group in _groups(elements)]
    up = sum(extension_bytes(size, ot_k) for size in sizes)
    return batch * yao.table_bytes(circuit, elements), up, len(sizes)


def stored_bytes(circuit: Circuit, batch: int, elements: int) -> tuple[int, int]:
    """What the sender keeps: a seed and Δ for each part; the receiver: tables, labels and a tweak."""
    count = batch * len(list(parts(elements)))
    labels = 16 * circuit.evaluator_inputs * elements
    return count * (SEED_BYTES + 16), batch * (yao.table_bytes(circuit, elements) + labels) + 8 * count


def _groups(elements: int) -> list[list[slice]]:
    whole = list(parts(elements))
    return [whole[start : start + GROUP] for start in range(0, len(whole), GROUP)]


def _instances(group: list[slice]) -> int:
    return int(group[-1].stop) - int(group[0].start)
