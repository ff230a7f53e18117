"""The offline phase over a whole program: everything that does not need the input.

            client (receiver, evaluator)               server (sender, garbler)
 (1)  draws its share of the input and of every
      activation's output; walks the local operations
 (2)  Enc(r) for every linear layer, ahead    →   Enc(W r − s), drops s in its material
 (3)  W r − s: its share of the layer's output  ←
 (4)  for the activations, in groups that take their round trips together (grouping.py): the protocols'
      correlations (OT, triples, garbled circuits)

Requests (2) leave as soon as the client knows its share of a layer's input, usually all at once, so the
server computes layer i while the client encrypts layer i + 1 and decrypts layer i - 1, and its workers may
have several layers in hand. Both sides derive the order of messages from the public program alone.

This is the one place where server and client become the protocols' sender and receiver (style.md, section 5).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circa.protocols.channel import Channel
from circa.protocols.linear.he import LinearReceiver, LinearSender, Prepared
from circa.protocols.linear.stream import Answers, InThread, Workers
from circa.protocols.linear.tasks import Worker
from circa.protocols.ot import OtPair, setup_pair
from circa.protocols.prg import Prg
from circa.protocols.relu import Relu
from circa.protocols.steps import Steps, complete, together

from . import masked
from .grouping import groups
from .local import run_local
from .program import Activate, Input, Linear, Program
from .report import Report

__all__ = ["ClientMaterial", "ClientParty", "Progress", "ServerMaterial", "ServerParty"]

Residues = NDArray[np.uint32]
Progress = Callable[[str, int, int], None]  # the operation at work, steps done, steps in all


@dataclass(frozen=True)
class ClientMaterial:
    """What the client keeps for `count` images; every array has the images as its first axis. Single use."""

    input_share: Residues
    output_share: Residues
    activations: tuple[Any, ...]
    shares: tuple[Residues, ...]  # of every activation's input; empty unless asked for


@dataclass(frozen=True)
class ServerMaterial:
    """What the server keeps for the same images: the masks s of the linear layers and the activations'
    material.
    """

    masks: tuple[Residues, ...]
    activations: tuple[Any, ...]


class ClientParty:
    """The client's half of one session: OT and HE state, and the offline and online passes."""

    def __init__(
        self, ch: Channel, program: Program, report: Report, prg: Prg, ot_k: int, keep_shares: bool = False
    ):
        self.ch, self.program, self.report, self.prg = ch, program, report, prg
        self._keep_shares, self._ot_k = keep_shares, ot_k
        self.last_shares: dict[int, Residues] = {}  # if kept: of every operation's result, last offline pass
        with report.measure(ch, "session", "setup", "offline"):
            self._ot: OtPair = setup_pair(ch, prg, first=True, k=ot_k)
            self._linear = _receivers(ch, program)

    def relu(self, op: Activate) -> Relu:
        return masked.protocol(self.program, op)

    def offline(self, count: int, progress: Progress) -> ClientMaterial:
        """Make material for `count` images."""
        program, ch = self.program, self.ch
        steps, done = len(program.linear) + len(program.activations), 0
        shares: dict[int, Residues] = {}
        requested = [False] * len(program.operations)

        def advance() -> None:
            """Compute every share that is known by now, and send the requests that it allows, in program
            order.
            """
            blocked = False
            for i, op in enumerate(program.operations):
                if isinstance(op, Linear):
                    if not requested[i] and not blocked and op.inputs[0] in shares:
                        with self.report.operation(ch, op, "offline"):
                            r = shares[op.inputs[0]].reshape(count, *op.geometry.input_shape)
                            self._linear[op.parameters].request(ch, op.geometry, r)
                        requested[i] = True
                    blocked |= not requested[i]
                elif i in shares:
                    continue
                elif isinstance(op, Input | Activate):
                    shares[i] = program.modulus.uniform(self.prg, (count, *op.shape))
                    if isinstance(op, Activate) and op.mask is not None:
                        op.mask.clear(shares[i])
                elif all(j in shares for j in op.inputs):
                    shares[i] = run_local(op, [shares[j] for j in op.inputs], program.modulus)

        for i, op in enumerate(program.operations):
            if isinstance(op, Linear):
                advance()
                progress(op.name, done, steps)
                with self.report.operation(ch, op, "offline"):
                    result = self._linear[op.parameters].receive(ch, op.geometry, count)
                    shares[i] = result.reshape(count, *op.shape)
                done += 1
        advance()
        place, materials = {op.name: i for i, op in enumerate(program.operations)}, []
        for group in groups(program, count, self._ot_k):
            runs = []
            for op, _ in group:
                act = op.activation(program.modulus)
                flat = (count, act.channels, act.positions)
                z_c, y_c = shares[op.inputs[0]].reshape(flat), shares[place[op.name]].reshape(flat)
                run = self.relu(op).offline_receiver(ch, self._ot, act, z_c, y_c, self.prg)
                runs.append(_reported(self.report, ch, op, run))
            progress(group[0][0].name, done, steps)
            materials += complete(together(runs))
            done += len(group)
        progress("", steps, steps)
        self.last_shares = shares if self._keep_shares else {}
        kept = tuple(shares[op.inputs[0]] for op in program.activations) if self._keep_shares else ()
        return ClientMaterial(shares[0], shares[len(program.operations) - 1], tuple(materials), kept)


class ServerParty:
    """The server's half of one session."""

    def __init__(
        self,
        ch: Channel,
        program: Program,
        prepared: Mapping[str, Prepared],
        prg: Prg,
        ot_k: int,
        report: Report | None = None,
        workers: Workers | None = None,
    ):
        self.ch, self.program, self.prg = ch, program, prg
        self.report = report or Report()
        self._prepared = prepared
        self._workers = workers or InThread(Worker(prepared))
        self._waits, self._ot_k = _waits(program), ot_k
        with self.report.measure(ch, "session", "setup", "offline"):
            self._ot: OtPair = setup_pair(ch, prg, first=False, k=ot_k)
            self._linear = _senders(ch, program, prg)

    def relu(self, op: Activate) -> Relu:
        return masked.protocol(self.program, op)

    def offline(self, count: int) -> ServerMaterial:
        """Make material for `count` images, in step with the client."""
        program, ch = self.program, self.ch
        masks, activations = [], []
        by_name = {op.name: op for op in program.linear}
        with Answers(
            ch, self._workers, self.prg, lambda layer: self.report.operation(ch, by_name[layer], "offline")
        ) as answers:
            for op in program.linear:
                if op.name in self._waits:
                    answers.finish()
                s = self._linear[op.parameters].answer(answers, op.name, self._prepared[op.name], count)
                masks.append(s.reshape(count, *op.shape))
            answers.finish()
        for group in groups(program, count, self._ot_k):
            runs = []
            for relu, _ in group:
                act = relu.activation(program.modulus)
                run = self.relu(relu).offline_sender(ch, self._ot, act, count, self.prg)
                runs.append(_reported(self.report, ch, relu, run))
            activations += complete(together(runs))
        return ServerMaterial(tuple(masks), tuple(activations))


def _reported(report: Report, ch: Channel, op: Activate, run: Steps[Any]) -> Steps[Any]:
    """The same steps, each of them in the report's row of this operation."""
    while True:
        with report.operation(ch, op, "offline"):
            try:
                next(run)
            except StopIteration as end:
                return end.value
        yield


def _waits(program: Program) -> set[str]:
    """The linear layers whose requests the client can make only with the answers to earlier layers."""
    behind: set[int] = set()  # the operations whose result the client does not know without answers
    waits = set()
    for i, op in enumerate(program.operations):
        depends = any(j in behind for j in op.inputs)
        if isinstance(op, Linear) and depends:
            waits.add(op.name)
        if isinstance(op, Linear) or (depends and not isinstance(op, Activate)):
            behind.add(i)
    return waits


def _sets(program: Program) -> list[str]:
    """The HE parameter sets that the program uses, in an order that both sides share."""
    return sorted({op.parameters for op in program.linear})


def _receivers(ch: Channel, program: Program) -> dict[str, LinearReceiver]:
    receivers = {name: LinearReceiver(program.modulus, name) for name in _sets(program)}
    for receiver in receivers.values():
        receiver.setup(ch)
    return receivers


def _senders(ch: Channel, program: Program, prg: Prg) -> dict[str, LinearSender]:
    senders = {name: LinearSender(program.modulus, prg, name) for name in _sets(program)}
    for sender in senders.values():
        sender.setup(ch)
    return senders
