"""Where a private inference departs from plaintext, by layer. INSECURE: for development, on one machine.

Both parties run in one process, the real protocols between them, and their shares of every operation's
result are added up. That undoes all privacy; it is done on data and weights that this process holds anyway,
in memory or over a loopback socket, and for no other address.

Three differences for every operation, each with a cause of its own:

    simulation    the same shares without parties: not one residue may differ, else a protocol is wrong
    fixed point   integers without sign faults: what faults and the last unit of a rescale do
    PyTorch       float32, where the network is given: the above, and the rounding to fixed point
"""

import ipaddress
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from circa.converter import graph
from circa.converter.capture import capture, inference_copy
from circa.converter.conversion import simplify
from circa.converter.evaluate import evaluate
from circa.errors import ParameterError
from circa.model import ConvertedModel
from circa.offline import ClientParty, Progress, ServerParty
from circa.online import client_online, server_online
from circa.program import Program
from circa.protocols.channel import TIMEOUT, Channel, memory_pair
from circa.protocols.ot.softspoken import DEFAULT_K
from circa.protocols.prg import Prg
from circa.report import Report
from circa.simulate import exact, simulate
from circa.transport import TcpChannel, parse_address
from circa.workers import prepare

__all__ = ["STAMP", "LayerDifference", "compare_layers"]

STAMP = "INSECURE: the secrets of both parties are in one process; for debugging only"
MOST_VALUES = 1 << 25  # kept at a time, of all layers and images

Residues = NDArray[np.uint32]
Values = dict[int, Residues]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class LayerDifference:
    """One operation, over all images. Differences in the network's own units, largest and root mean square.

    unequal: residues that differ from the simulation with the same shares; None where nothing ran privately.
    plaintext_*: None without a network, and where an operation has no counterpart in it.
    """

    layer: str
    kind: str
    elements: int
    largest: float
    unequal: int | None
    fixed_largest: float
    fixed_rms: float
    plaintext_largest: float | None
    plaintext_rms: float | None


def compare_layers(
    model: ConvertedModel,
    x: Tensor,
    network: nn.Module | None = None,
    *,
    private: bool = True,
    address: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[LayerDifference]:
    """One entry for every operation of the program, in order. x: images as the model takes them.

    network: what was converted. private=False: simulated shares, drawn from `seed`, and no parties. address:
    a loopback address to run over TCP instead of in memory. Raises ParameterError for any other address, and
    for more images than fit into memory with all their layers.
    """
    program = model.program
    values_per_image = sum(op.elements for op in program.operations)
    if len(x) * values_per_image > MOST_VALUES:
        most = max(1, MOST_VALUES // values_per_image)
        raise ParameterError(f"{len(x)} images with all their layers are too many: give at most {most}")
    pair = memory_pair(TIMEOUT) if address is None else loopback_pair(address)
    residues = model.encode(x)
    simulated, fixed, run = Kept(), Kept(), None
    exact(program, model.linear, residues, fixed)
    if private:
        run = both_parties(model, residues, pair, progress or (lambda *_: None))
        shapes = {op.name: op.activation(program.modulus).shape(len(x)) for op in program.activations}
        shares = {op.name: run.client[op.inputs[0]].reshape(shapes[op.name]) for op in program.activations}
        simulate(program, model.linear, residues, shares, simulated)
    else:
        simulate(program, model.linear, residues, np.random.Generator(np.random.SFC64(seed)), simulated)
    plain = {} if network is None else plaintext(program, network, x)
    found = []
    for i, op in enumerate(program.operations):
        value = simulated.values[i] if run is None else program.modulus.add(run.client[i], run.server[i])
        ours = real(program, i, value)
        to_fixed = np.abs(ours - real(program, i, fixed.values[i]))
        to_plain = np.abs(ours - plain[op.name]) if op.name in plain else None
        found.append(
            LayerDifference(
                layer=op.name,
                kind=type(op).__name__.lower(),
                elements=op.elements,
                largest=float(np.abs(ours).max()),
                unequal=None if run is None else int((value != simulated.values[i]).sum()),
                fixed_largest=float(to_fixed.max()),
                fixed_rms=rms(to_fixed),
                plaintext_largest=None if to_plain is None else float(to_plain.max()),
                plaintext_rms=None if to_plain is None else rms(to_plain),
            )
        )
    return found


def loopback_pair(address: str) -> tuple[Channel, Channel]:
    """Two connected TCP channels of this process. Raises ParameterError unless the address is loopback."""
    host, port = parse_address(address, 0)
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise ParameterError(f"{host}: no such address ({error})") from None
    if not all(ipaddress.ip_address(ip.partition("%")[0]).is_loopback for ip in found):
        raise ParameterError(
            f"{host} is not this machine's loopback address. {STAMP}: it does not run across hosts;"
            " for a real session use circa serve and circa infer"
        )
    ip = sorted(found)[0]
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.create_server((ip, port), family=family) as listener:
            ours = socket.create_connection(listener.getsockname()[:2])
            theirs, peer = listener.accept()
    except OSError as error:
        raise ParameterError(f"cannot listen at {host}:{port}: {error.strerror}") from error
    if peer != ours.getsockname():
        ours.close()
        theirs.close()
        raise ParameterError(f"another process connected to {host}:{port} first: try again")
    return TcpChannel(ours, TIMEOUT), TcpChannel(theirs, TIMEOUT)


class Kept:
    """Keeps a copy of every operation's value, or share."""

    def __init__(self) -> None:
        self.values: Values = {}

    def __call__(self, i: int, value: Residues) -> None:
        self.values[i] = value.copy()


@dataclass(frozen=True)
class Shares:
    """Of every operation's result, by its index."""

    client: Values
    server: Values


def both_parties(
    model: ConvertedModel, x: Residues, pair: tuple[Channel, Channel], progress: Progress
) -> Shares:
    """A whole private inference in two threads; raises the failure of either party."""
    program, weights, server = model.program, model.weights, Kept()
    prepared = prepare(program, weights)
    results: dict[str, Any] = {}

    def client_role(ch: Channel) -> None:
        party = ClientParty(ch, program, Report(), Prg.from_os(), DEFAULT_K, keep_shares=True)
        material = party.offline(len(x), progress)
        results["client"] = party.last_shares
        client_online(party, material, x)

    def server_role(ch: Channel) -> None:
        party = ServerParty(ch, program, prepared, Prg.from_os(), DEFAULT_K)
        server_online(party, model.linear, party.offline(len(x)), len(x), server)

    in_two_threads(((client_role, pair[0]), (server_role, pair[1])))
    return Shares(results["client"], server.values)


def in_two_threads(roles: tuple[tuple[Callable[[Channel], None], Channel], ...]) -> None:
    failures: list[BaseException] = []

    def guarded(role: Callable[[Channel], None], ch: Channel) -> None:
        try:
            role(ch)
        except BaseException as error:
            failures.append(error)
            ch.close()  # the other one waits for a message

    threads = [threading.Thread(target=guarded, args=pair) for pair in roles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _, ch in roles:
        ch.close()
    if failures:
        raise failures[0]


def plaintext(program: Program, network: nn.Module, x: Tensor) -> dict[str, Reals]:
    """The network's own values by operation, in float32. An average's sum stands in for the average where
    the program has them in one.
    """
    network = inference_copy(network)
    nodes = graph.topological(simplify(capture(network, x)))
    names = {op.name: op for op in program.operations}
    found: dict[str, Reals] = {}

    def visit(node: graph.Node, value: Tensor) -> None:
        name = node.name
        if name not in names and isinstance(node, graph.Scale) and isinstance(node.inputs[0], graph.Pool):
            name = node.inputs[0].name
        if name in names and names[name].elements == value[0].numel():
            found[name] = value.double().reshape(len(value), *names[name].shape).numpy()

    with torch.no_grad():
        evaluate(nodes, x, visit)
    return found


def real(program: Program, i: int, residues: Residues) -> Reals:
    decoded = program.modulus.decode(np.ascontiguousarray(residues))
    return decoded.astype(np.float64) * 2.0 ** -program.operations[i].frac_bits


def rms(values: Reals) -> float:
    return float(np.sqrt((values**2).mean()))
