"""What a private inference will cost, from the public program alone: exact bytes and rounds, rough seconds.

The rows have the names and phases of a `Report`, and the same bytes and rounds: a test compares the two for
every protocol and kind of layer. Seconds are a model, of one core a party, with the `RATES` of
circa/rates.py:

    offline   within the session's setup, within the linear layers and within the activations, the client, the
              server and the line in either direction work at the same time: the slowest of the four counts,
              and every round trip
    online    they take turns: work, bytes and round trips add up

A layer's own seconds are what it would take alone; layers overlap, so that a phase takes less than their sum.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from circa.protocols.linear.cost import LinearCost, setup_bytes
from circa.protocols.linear.cost import cost as linear_cost
from circa.protocols.ot import KAPPA
from circa.protocols.ot.choice import best_k
from circa.protocols.ot.leaves import depths
from circa.protocols.ot.softspoken import RECEIVER_SETUP_BYTES, SENDER_SETUP_BYTES, correction_bytes
from circa.protocols.relu import Cost
from circa.protocols.shares import residue_bytes

from . import masked
from .commands import ANSWER_BYTES, COMMAND_BYTES
from .description import announcement
from .grouping import added_rounds, groups
from .handshake import CLIENT_BYTES, LENGTH_BYTES
from .network import NETWORKS, Network
from .program import Activate, Input, Linear, Program
from .rates import waking, work
from .report import Phase
from .stock import batches, stored

__all__ = ["NETWORKS", "Estimate", "EstimateRow", "Network", "estimate", "prepare_traffic"]


@dataclass(frozen=True)
class EstimateRow:
    """One layer and phase; bytes as the client sends and receives them."""

    layer: str
    kind: str
    phase: Phase
    bytes_sent: int
    bytes_received: int
    rounds: int
    units: dict[str, float]  # of work, as circa/rates.py names them

    @property
    def work(self) -> tuple[float, float]:
        """Seconds of one core at the client, and at the server."""
        return work(self.units)

    def seconds(self, network: Network) -> float:
        """Of this layer alone."""
        return _seconds([self], network)


def _seconds(rows: "Sequence[EstimateRow]", network: Network) -> float:
    """Of rows of one phase and kind."""
    parts = (
        sum(row.work[0] for row in rows),
        sum(row.work[1] for row in rows),
        network.seconds(sum(row.bytes_sent for row in rows)),
        network.seconds(sum(row.bytes_received for row in rows)),
    )
    overlap = all(row.phase == "offline" for row in rows)
    rounds = sum(row.rounds for row in rows)
    latency = network.seconds(0, 0, rounds) + rounds * waking(network.round_trip)
    return (max(parts) if overlap else sum(parts)) + latency


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
            "seconds": sum(
                _seconds([row for row in rows if row.kind == kind], network)
                for kind in {row.kind for row in rows}
            ),
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
        units={name: a.units.get(name, 0) + b.units.get(name, 0) for name in {**a.units, **b.units}},
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
    received = LENGTH_BYTES + len(announcement(program)) + base + ANSWER_BYTES
    rounds = 3 if ot_k == 1 else 4
    yield EstimateRow("session", "setup", "offline", sent, received, rounds, {"setup": 1})
    yield EstimateRow("session", "setup", "online", COMMAND_BYTES, 0, 0, {})


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
        units: dict[str, float] = {
            "request": cost.messages_up,
            "response": cost.messages_down,
            "product": cost.products,
        }
        yield EstimateRow(op.name, "linear", "offline", cost.bytes_up, cost.bytes_down, int(sending), units)
        sending = False
        known.add(i)
    blocks = sum(1 << depth for depth in depths(ot_k)) / KAPPA  # of AES for a COT (ot/choice.py)
    for group in groups(program, images, ot_k):
        rounds = added_rounds([layer.offline.rounds for _, layer in group])
        for (op, layer), added in zip(group, rounds, strict=True):
            moved, cots = layer.offline, _cots(program, op, images)
            units = {"layer": 1, "cot": cots, "block": cots * blocks, "gate": layer.and_gates}
            yield EstimateRow(op.name, "activate", "offline", moved.up, moved.down, added, units)


def _cots(program: Program, op: Activate, images: int) -> float:
    """Correlated OTs of a layer: each takes 128 bits with k = 1 and 64 with k = 2."""
    protocol, act = masked.protocol(program, op), op.activation(program.modulus)
    moved = [protocol.cost(act, images, k).offline for k in (1, 2)]
    return (moved[0].up + moved[0].down - moved[1].up - moved[1].down) / 8


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
    adds = sum(_multiply_adds(op) for op in program.linear) * images
    layers = _layers(program, images, ot_k)
    share = {"multiply_add": adds / (len(layers) + 1)}  # the server works between the rounds
    x, y = (residue_bytes(images * op.elements, program.modulus) for op in (program.input, program.output))
    yield EstimateRow(program.input.name, "input", "online", x, 0, 0, {})
    led = {op.name for op, rescale in program.turns if rescale is not None}
    for op, layer in layers:
        online = layer.online
        tests = images * op.sign_tests
        units: dict[str, float] = {**share, "message": 1, "sign_test": tests, "online_gate": layer.and_gates}
        # Where a rescale goes with the sign tests, its message is the one that is waited for.
        rounds = max(0, online.rounds - (op.name in led))
        yield EstimateRow(op.name, "activate", "online", online.up, online.down, rounds, units)
    yield EstimateRow(program.output.name, "output", "online", 0, y, 1, {**share, "message": 1})


def _layers(program: Program, images: int, ot_k: int) -> list[tuple[Activate, Cost]]:
    acts = [(op, op.activation(program.modulus)) for op in program.activations]
    return [(op, masked.protocol(program, op).cost(act, images, ot_k)) for op, act in acts]


def _multiply_adds(op: Linear) -> int:
    """For one image."""
    return op.elements * math.prod(op.geometry.weight_shape[1:])
