"""The online phase: one message each way for every activation layer, none for a linear layer.

            client                                     server
 (1)   x − x_c                            →   x_s
       for every operation, in order:         Linear   y_s = W x_s + bias + s        no message
                                              local    the same operation on x_s     no message
 (2)   answers from its material         ↔   Activate the ReLU protocol; y_s
 (3)   y = y_c + y_s                     ←   y_s of the last operation

Rounds: one for each activation layer, and one for (1) with (3). Every client share was fixed offline. A
rescale of the same operand goes with the sign tests before it (`Program.turns`): its m before their message,
its P after their answer, as in masked.py.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from circa.protocols.relu.rescale import Rescale
from circa.protocols.shares import recv_residues, send_residues

from .exact import ExactLinear
from .local import run_local
from .offline import ClientMaterial, ClientParty, ServerMaterial, ServerParty
from .program import Activate, Input, Linear
from .simulate import Watch

__all__ = ["client_online", "server_online"]

Residues = NDArray[np.uint32]


def client_online(party: ClientParty, material: ClientMaterial, x: Residues) -> Residues:
    """The output's residues, (count, *output shape), for the encoded input x (count, *input shape)."""
    program, ch, report = party.program, party.ch, party.report
    with report.operation(ch, program.input, "online"):
        send_residues(ch, program.modulus.sub(x, material.input_share), program.modulus)  # (1)
    activations = iter(material.activations)
    for op, rescale in program.turns:
        kept, answer = next(activations), None
        if rescale is not None:
            with report.operation(ch, rescale, "online"):
                answer = Rescale().answer(ch, rescale.activation(program.modulus), next(activations))
        with report.operation(ch, op, "online"):
            act = op.activation(program.modulus)
            party.relu(op).online_receiver(ch, act, kept)  # (2)
        if rescale is not None:
            with report.operation(ch, rescale, "online"):
                ch.send(answer)
    with report.measure(ch, program.output.name, "output", "online"):
        y_s = recv_residues(ch, material.output_share.shape, program.modulus)  # (3)
    return program.modulus.add(material.output_share, y_s)


def server_online(
    party: ServerParty,
    linear: Mapping[str, ExactLinear],
    material: ServerMaterial,
    count: int,
    watch: Watch | None = None,
) -> None:
    """Carry the server's shares through the program. watch: gets the index and share of every operation."""
    program, ch = party.program, party.ch
    masks, activations = iter(material.masks), iter(material.activations)
    last_use = {j: i for i, op in enumerate(program.operations) for j in op.inputs}
    rescales = {op.name: rescale for op, rescale in program.turns}
    values: dict[int, Residues] = {}
    early: dict[str, Residues] = {}  # what a rescale has given before its turn in the program
    for i, op in enumerate(program.operations):
        operands = [values[j] for j in op.inputs]
        with party.report.operation(ch, op, "online"):
            if isinstance(op, Input):
                x_s = recv_residues(ch, (count, *op.shape), program.modulus)  # (1)
                values[i] = x_s.copy()  # received arrays are read-only, and torch refuses to look at those
            elif isinstance(op, Linear):
                values[i] = program.modulus.add(linear[op.name](operands[0]), next(masks))
            elif op.name in early:
                values[i] = early.pop(op.name).reshape(count, *op.shape)
            elif isinstance(op, Activate):
                act, kept = op.activation(program.modulus), next(activations)
                z_s = operands[0].reshape(count, act.channels, act.positions)
                rescale = rescales[op.name]
                if rescale is not None:
                    other = rescale.activation(program.modulus)
                    early[rescale.name] = Rescale().open(ch, other, z_s, next(activations))
                y_s = party.relu(op).online_sender(ch, act, z_s, kept)  # (2)
                if rescale is not None:
                    Rescale().close(ch, other, early[rescale.name])
                values[i] = y_s.reshape(count, *op.shape)
            else:
                values[i] = run_local(op, operands, program.modulus)
        if watch is not None:
            watch(i, values[i])
        for j in set(op.inputs):
            if last_use[j] == i:
                del values[j]
    send_residues(ch, values[len(program.operations) - 1], program.modulus)  # (3)
