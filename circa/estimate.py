"""What a private inference will cost, from the public program alone: exact bytes and rounds, rough seconds.

The rows have the names and phases of a `Report`, and the same bytes and rounds: a test compares the two for
every protocol and kind of layer. Seconds are a model: bytes over the bandwidth, round trips times the
latency, and work at the `RATES` that one core reached (benchmarks/README.md). What the parties do at the
same time is added up as if they took turns, so estimates err on the slow side.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from circa.protocols.linear.cost import LinearCost, setup_bytes
from circa.protocols.linear.cost import cost as linear_cost
from circa.protocols.ot.choice import best_k
from circa.protocols.ot.softspoken import RECEIVER_SETUP_BYTES, SENDER_SETUP_BYTES, correction_bytes
from circa.protocols.relu import Cost
from circa.protocols.shares import residue_bytes

from . import masked
from .commands import ANSWER_BYTES, COMMAND_BYTES
from .description import to_json
from .grouping import added_rounds, groups
from .handshake import CLIENT_BYTES, LENGTH_BYTES
from .network import NETWORKS, Network
from .program import Activate, Input, Linear, Program
from .report import Phase
from .stock import batches, stored

__all__ = ["NETWORKS", "RATES", "Estimate", "EstimateRow", "Network", "estimate", "prepare_traffic"]


# Seconds of one core for a unit of work, both parties together; measured as benchmarks/README.md says.
RATES = {
    "setup": 0.25,  # a session's base OTs and keys
    "request": 1.8e-3,  # a request polynomial: encrypt, pack, unpack, transform
    "response": 4.0e-3,  # a response polynomial: re-randomise, flood, pack, decrypt
    "product": 0.25e-3,  # a product in the transformed domain, its weight polynomial prepared
    "offline byte": 2.0e-8,  # of OT extension, hashing and garbled tables
    "sign test": 1.0e-7,  # online, without garbled gates
    "gate": 4.0e-8,  # garbled online: evaluate
    "multiply-add": 2.0e-11,  # the server's exact linear algebra online
}


@dataclass(frozen=True)
class EstimateRow:
    """One layer and phase; bytes as the client sends and receives them."""

    layer: str
    kind: str
    phase: Phase
    bytes_sent: int
    bytes_received: int
    rounds: int
    work: float  # seconds of one core

    def seconds(self, network: Network) -> float:
        return self.work + network.seconds(self.bytes_sent, self.bytes_received, self.rounds)


@dataclass(frozen=True)
class Estimate:
    """All rows for `images` images in one batch, and what each party holds between the phases."""

    images: int
    rows: tuple[EstimateRow, ...]
    client_stored: int  # bytes of offline material
    server_stored: int
    server_weights: int  # bytes of weight polynomials that the server keeps prepared

    def total(self, phase: Phase, network: Network) -> dict[str, float]:
        rows = [row for row in self.rows if row.phase == phase]
        return {
            "bytes_sent": sum(row.bytes_sent for row in rows),
            "bytes_received": sum(row.bytes_received for row in rows),
            "rounds": sum(row.rounds for row in rows),
            "seconds": sum(row.seconds(network) for row in rows),
        }


def estimate(program: Program, images: int = 1, ot_k: int | None = None) -> Estimate:
    """One session that prepares and infers one batch of `images` images.

    ot_k: that of the session's OT extensions (`Session.ot_k`); otherwise what `circa.connect` takes on this
    machine.
    """
    ot_k = _default_k(ot_k)
    held, largest = stored(program, images), max(batches(program, images))
    return Estimate(
        images,
        (*_setup(program, ot_k), *_passes(program, images, ot_k), *_online(program, images, ot_k)),
        client_stored=held.client,
        server_stored=held.server,
        server_weights=sum(_linear(op, largest).prepared_bytes for op in program.linear),
    )


def prepare_traffic(program: Program, images: int, ot_k: int | None = None) -> tuple[int, int]:
    """Bytes that `session.prepare(images)` sends and receives, command and answer included."""
    rows = _passes(program, images, _default_k(ot_k))
    sent, received = sum(row.bytes_sent for row in rows), sum(row.bytes_received for row in rows)
    return COMMAND_BYTES + sent, ANSWER_BYTES + received


def _default_k(ot_k: int | None) -> int:
    return best_k(NETWORKS["lan"].bits_per_second) if ot_k is None else ot_k


def _passes(program: Program, images: int, ot_k: int) -> tuple[EstimateRow, ...]:
    """The offline phase without the session's setup: one row a layer, all passes of `stock.batches`."""
    found: dict[str, EstimateRow] = {}
    for size in batches(program, images):
        for row in _offline(program, size, ot_k):
            seen = found.get(row.layer)
            found[row.layer] = row if seen is None else _sum(seen, row)
    return tuple(found.values())


def _sum(a: EstimateRow, b: EstimateRow) -> EstimateRow:
    return replace(
        a,
        bytes_sent=a.bytes_sent + b.bytes_sent,
        bytes_received=a.bytes_received + b.bytes_received,
        rounds=a.rounds + b.rounds,
        work=a.work + b.work,
    )


def _linear(op: Linear, images: int) -> LinearCost:
    return linear_cost(op.geometry, images, op.parameters)


def _setup(program: Program, ot_k: int) -> Iterator[EstimateRow]:
    """Handshake, base OTs in one message each way and the corrections of their trees in another, a public key
    for each set of parameters, commands, and the answer to the first.
    """
    keys = sum(setup_bytes(name) for name in sorted({op.parameters for op in program.linear}))
    base = SENDER_SETUP_BYTES + RECEIVER_SETUP_BYTES + correction_bytes(ot_k)
    sent = CLIENT_BYTES + base + keys + COMMAND_BYTES
    received = LENGTH_BYTES + len(to_json(program)) + base + ANSWER_BYTES
    rounds = 3 if ot_k == 1 else 4
    yield EstimateRow("session", "setup", "offline", sent, received, rounds, RATES["setup"])
    yield EstimateRow("session", "setup", "online", COMMAND_BYTES, 0, 0, 0.0)


def _offline(program: Program, images: int, ot_k: int) -> Iterator[EstimateRow]:
    """In the order of `offline.ClientParty.offline`, to count the turns from sending to receiving."""
    sending = False  # the answer to the command to prepare has arrived
    known: set[int] = set()
    requested: set[int] = set()
    for i, op in enumerate(program.operations):
        if not isinstance(op, Linear):
            continue
        sending |= _advance(program, known, requested)
        cost = _linear(op, images)
        work = cost.messages_up * RATES["request"] + cost.messages_down * RATES["response"]
        work += cost.products * RATES["product"]
        yield EstimateRow(op.name, "linear", "offline", cost.bytes_up, cost.bytes_down, int(sending), work)
        sending = False
        known.add(i)
    for group in groups(program, images, ot_k):
        rounds = added_rounds([layer.offline.rounds for _, layer in group])
        for (op, layer), added in zip(group, rounds, strict=True):
            offline = layer.offline
            work = (offline.up + offline.down) * RATES["offline byte"]
            yield EstimateRow(op.name, "activate", "offline", offline.up, offline.down, added, work)


def _advance(program: Program, known: set[int], requested: set[int]) -> bool:
    """Add the shares that the client can compute; returns whether requests of linear layers go out."""
    sent = blocked = False
    for i, op in enumerate(program.operations):
        if isinstance(op, Linear):
            if i not in requested and not blocked and op.inputs[0] in known:
                requested.add(i)
                sent = True
            blocked |= i not in requested
        elif isinstance(op, Input | Activate) or all(j in known for j in op.inputs):
            known.add(i)
    return sent


def _online(program: Program, images: int, ot_k: int) -> Iterator[EstimateRow]:
    """One message for the input, the protocol's for every activation, one for the output."""
    work = sum(_multiply_adds(op) for op in program.linear) * images * RATES["multiply-add"]
    layers = _layers(program, images, ot_k)
    share = work / (len(layers) + 1)  # the server works between the rounds
    x, y = (residue_bytes(images * op.elements, program.modulus) for op in (program.input, program.output))
    yield EstimateRow(program.input.name, "input", "online", x, 0, 0, 0.0)
    for op, layer in layers:
        online = layer.online
        work = images * op.sign_tests * RATES["sign test"] + layer.and_gates * RATES["gate"]
        yield EstimateRow(op.name, "activate", "online", online.up, online.down, online.rounds, share + work)
    yield EstimateRow(program.output.name, "output", "online", 0, y, 1, share)


def _layers(program: Program, images: int, ot_k: int) -> list[tuple[Activate, Cost]]:
    acts = [(op, op.activation(program.modulus)) for op in program.activations]
    return [(op, masked.protocol(program, op).cost(act, images, ot_k)) for op, act in acts]


def _multiply_adds(op: Linear) -> int:
    """For one image."""
    return op.elements * math.prod(op.geometry.weight_shape[1:])
