"""Measure one ReLU protocol: bytes, stock and processor time, per ReLU.

Bytes and rounds are counted on the channel and must equal the protocol's own `cost()`, as must the bytes in
stock; a difference is an error, not a footnote. Times are medians over the repetitions after one that warms
up; each repetition is a complete offline and online phase with fresh material (material is used once, here
too). The base OTs of a session are made beforehand and are in no row. Values are not checked here but in
`peers/agreement.py` and by the tests of the protocols.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circa.protocols import relu
from circa.protocols.errors import CircaError
from circa.protocols.garbling.circuit import Circuit
from circa.protocols.ot import OtPair, setup_pair
from circa.protocols.prg import Prg
from circa.protocols.relu.material import nbytes
from circa.protocols.steps import complete

from .cases import Case
from .inputs import sample
from .rows import Row
from .turns import Phase, Turns

__all__ = ["CostMismatch", "evaluate", "measure"]

GARBLED_INSTANCES = 1 << 14  # for garbling alone: enough for a steady rate

Residues = NDArray[np.uint32]


class CostMismatch(CircaError):
    """A protocol moved or stored other bytes than its `cost()` says: the formula or the protocol is wrong."""


@dataclass(frozen=True)
class _Session:
    """Both parties after the base OTs: the channel between them, a generator each."""

    pair: Turns
    prg_s: Prg
    prg_c: Prg
    ots: Phase[OtPair, OtPair]


@dataclass(frozen=True)
class _Run:
    offline: Phase[Any, Any]
    online: Phase[Residues, None]
    y_c: Residues


def measure(case: Case, repeats: int, progress: Callable[[], None] = lambda: None) -> Row:
    """Raises CostMismatch where the protocol does not cost what it says."""
    act, count = case.activation(), case.elements
    cost = relu.by_name(case.protocol).cost(act, 1)
    session, z = _meet(), sample(count)
    offline, online, client, server = [], [], [], []
    for i in range(1 + repeats):
        run = _run(case, session, z)
        _compare(case, cost, run)
        if i:  # the material itself is let go: it may be large
            offline.append(run.offline.seconds)
            online.append(run.online.seconds)
            client.append(run.online.receiver_seconds)
            server.append(run.online.sender_seconds)
        progress()
    garble_us, evaluate_us = _garbling(case, cost, repeats)
    return Row(
        protocol=case.protocol,
        modulus="2^32" if act.modulus.is_ring else str(act.modulus.value),
        elements=count,
        k=case.k,
        n=case.n,
        mode=case.mode,
        shift=case.shift,
        and_gates=_per(cost.and_gates, count),
        table_bytes=_per(cost.table_bytes, count),
        client_stored_bytes=_per(cost.receiver_stored, count),
        server_stored_bytes=_per(cost.sender_stored, count),
        offline_bytes=_per(cost.offline.up + cost.offline.down, count),
        offline_bytes_up=_per(cost.offline.up, count),
        offline_bytes_down=_per(cost.offline.down, count),
        offline_rounds=cost.offline.rounds,
        online_bytes=_per(cost.online.up + cost.online.down, count),
        online_bytes_up=_per(cost.online.up, count),
        online_bytes_down=_per(cost.online.down, count),
        online_rounds=cost.online.rounds,
        garble_us=garble_us,
        evaluate_us=evaluate_us,
        offline_us=_microseconds(offline, count),
        online_us=_microseconds(online, count),
        online_us_min=1e6 * min(online) / count,
        online_us_max=1e6 * max(online) / count,
        online_us_client=_microseconds(client, count),
        online_us_server=_microseconds(server, count),
        relus_per_second=count / statistics.median(online),
    )


def evaluate(case: Case, z: NDArray[np.int64]) -> NDArray[np.int64]:
    """The protocol's results on these integers, both shares added: about ReLU(z) >> shift."""
    run, modulus = _run(case, _meet(), z), case.modulus
    return modulus.decode(modulus.add(run.online.sender, run.y_c)).reshape(z.shape)


def _meet() -> _Session:
    pair, prg_s, prg_c = Turns(), Prg.from_os(), Prg.from_os()
    ots = pair.run(lambda ch: setup_pair(ch, prg_s, True), lambda ch: setup_pair(ch, prg_c, False))
    return _Session(pair, prg_s, prg_c, ots)


def _run(case: Case, session: _Session, z: NDArray[np.int64]) -> _Run:
    """A whole offline and online phase on z, as one image."""
    protocol, act, pair, ots = relu.by_name(case.protocol), case.activation(), session.pair, session.ots
    shape = act.shape(1)
    z_c, y_c = act.modulus.uniform(session.prg_c, shape), act.modulus.uniform(session.prg_c, shape)
    z_s = act.modulus.sub(act.modulus.encode(z).reshape(shape), z_c)
    offline = pair.run(
        lambda ch: complete(protocol.offline_sender(ch, ots.sender, act, 1, session.prg_s)),
        lambda ch: complete(protocol.offline_receiver(ch, ots.receiver, act, z_c, y_c, session.prg_c)),
    )
    online = pair.run(
        lambda ch: protocol.online_sender(ch, act, z_s, offline.sender),
        lambda ch: protocol.online_receiver(ch, act, offline.receiver),
    )
    return _Run(offline, online, y_c)


def _compare(case: Case, cost: relu.Cost, run: _Run) -> None:
    measured = {
        f"{name} {what}": (found, said)
        for name, phase, expected in (
            ("offline", run.offline, cost.offline),
            ("online", run.online, cost.online),
        )
        for what, found, said in (
            ("bytes down", phase.sender_traffic.bytes_sent, expected.down),
            ("bytes up", phase.receiver_traffic.bytes_sent, expected.up),
            ("rounds", phase.rounds, expected.rounds),
        )
    }
    measured["bytes stored by the sender"] = nbytes(run.offline.sender), cost.sender_stored
    measured["bytes stored by the receiver"] = nbytes(run.offline.receiver), cost.receiver_stored
    wrong = [f"{what} {found}, not {said}" for what, (found, said) in measured.items() if found != said]
    if wrong:
        raise CostMismatch(f"{case.label} on {case.elements} elements costs otherwise: {'; '.join(wrong)}")


def _garbling(case: Case, cost: relu.Cost, repeats: int) -> tuple[float | None, float | None]:
    """Microseconds a ReLU to garble and to evaluate, alone: no OT, no channel."""
    circuit = case.circuit()
    if circuit is None:
        return None, None
    if circuit.ands * case.elements != cost.and_gates:
        per_relu = cost.and_gates / case.elements
        raise CostMismatch(f"{case.label} has a circuit of {circuit.ands} ANDs, its cost says {per_relu}")
    count = min(case.elements, GARBLED_INSTANCES)
    times = [_garble_once(circuit, count) for _ in range(1 + repeats)][1:]
    return (
        _microseconds([garble for garble, _ in times], count),
        _microseconds([evaluate for _, evaluate in times], count),
    )


def _garble_once(circuit: Circuit, count: int) -> tuple[float, float]:
    from circa.protocols.garbling import halfgates

    prg, pair = Prg.from_os(), Turns()
    delta = prg.blocks(1)[0] | np.array([1, 0], np.uint64)
    garbler, evaluator = (
        halfgates.ZeroLabels(prg.uint64((wires, count, 2)))
        for wires in (circuit.garbler_inputs, circuit.evaluator_inputs)
    )
    fixed = prg.bits((circuit.fixed_inputs, count))
    labels_g, labels_e = (
        halfgates.encode(labels, delta, prg.bits(labels.blocks.shape[:2])) for labels in (garbler, evaluator)
    )
    garbled = pair.run(
        lambda _: halfgates.garble(circuit, garbler, fixed, evaluator, delta, 0)[0], lambda _: None
    )
    evaluated = pair.run(
        lambda _: None, lambda _: halfgates.evaluate(circuit, labels_g, labels_e, garbled.sender, 0)
    )
    return garbled.sender_seconds, evaluated.receiver_seconds


def _per(total: int, count: int) -> float:
    """A quotient that stays an integer where it is one."""
    return total // count if total % count == 0 else total / count


def _microseconds(seconds: Sequence[float], count: int) -> float:
    return 1e6 * statistics.median(seconds) / count
