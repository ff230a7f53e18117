"""Inferences that a server prepares in a minute, against its workers: threads, processes, Ray actors.

    python benchmarks/bench_workers.py [--model resnet20] [--images 1] [--kinds threads processes ray]
        [--workers 1 2] [--sessions 2] [--seconds 2] [--repeats 5] [--ray HOST:PORT] [--figure FOLDER]

Only the server's linear layers, which are what the workers do: the messages of one client are recorded and
played again by every session, so that no client takes a core; responses are counted, checked to be of the
right size, and dropped. The first pass of each session, which prepares the weights, is not timed. `ray`
starts a cluster of one node for each worker on this machine unless an address is given. Settings take
turns; one JSON line each, with the median. CIRCA_NATIVE=0 measures SEAL in place of the native engine.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import harness
from circa import container, workers
from circa.bench.architectures import find, provide
from circa.bench.environment import describe
from circa.program import Program
from circa.protocols.channel import Traffic, memory_pair
from circa.protocols.linear.cost import cost
from circa.protocols.linear.he import LinearReceiver, LinearSender
from circa.protocols.linear.stream import Answers
from circa.protocols.linear.tasks import Worker
from circa.protocols.linear.weights import Prepared
from circa.protocols.prg import Prg

KINDS = ("threads", "processes", "ray")


class Replay:
    """A channel to a client that always says the same, and listens to nothing."""

    def __init__(self, messages: list[bytes]):
        self.traffic = Traffic()
        self._messages = messages
        self._next = 0

    def rewind(self) -> None:
        self._next = 0

    def recv(self, size: int) -> bytes:
        message = self._messages[self._next]
        assert len(message) == size
        self._next += 1
        self.traffic.count_recv(size)
        return message

    def send(self, data: Any) -> None:
        self.traffic.count_send(len(data))

    def close(self) -> None:
        pass


def recorded(program: Program, images: int) -> tuple[dict[str, bytes], list[bytes]]:
    """A client's public keys, by parameter set, and all its requests."""
    _, client = memory_pair()
    client.record()
    assert client.sent is not None
    receivers = {
        name: LinearReceiver(program.modulus, name) for name in {op.parameters for op in program.linear}
    }
    keys = {}
    for name, receiver in receivers.items():
        receiver.setup(client)
        keys[name] = client.sent.pop()
    for op in program.linear:
        r = program.modulus.uniform(Prg.from_os(), (images, *op.geometry.input_shape))
        receivers[op.parameters].request(client, op.geometry, r)
    return keys, list(client.sent)


@contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """The address of a Ray cluster on this machine, nodes of one core each."""
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 200 << 20}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **memory})
    for _ in range(nodes - 1):
        made.add_node(num_cpus=1, **memory)
    yield made.address
    made.shutdown()


def pool(kind: str, count: int, prepared: dict[str, Prepared], address: str | None) -> workers.Pool:
    if kind == "threads":
        return workers.Threads(Worker(prepared), count)
    if kind == "processes":
        return workers.Lanes.of_processes(prepared, count, workers.MEMORY)
    return workers.start(prepared, count, ray=address)


def measure(
    program: Program,
    prepared: dict[str, Prepared],
    client: tuple[dict[str, bytes], list[bytes]],
    made: workers.Pool,
    sessions: int,
    seconds: float,
    images: int,
) -> float:
    """Inferences a minute, from the sessions' common start to the end of the last pass that began in time."""
    keys, messages = client
    expected = sum(cost(op.geometry, images, op.parameters).bytes_down for op in program.linear)
    start, lock = threading.Barrier(sessions + 1), threading.Lock()
    passes, failures = [0], []

    def session() -> None:
        try:
            prg, channel = Prg.from_os(), Replay(messages)
            senders = {}
            for name, key in keys.items():
                senders[name] = LinearSender(program.modulus, prg, name)
                senders[name].setup(Replay([key]))

            def one() -> None:
                channel.rewind()
                before = channel.traffic.bytes_sent
                with Answers(channel, made, prg) as answers:
                    for op in program.linear:
                        senders[op.parameters].answer(answers, op.name, prepared[op.name], images)
                    answers.finish()
                assert channel.traffic.bytes_sent - before == expected

            one()
            start.wait()
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                one()
                with lock:
                    passes[0] += 1
        except BaseException as error:
            failures.append(error)
            start.abort()

    threads = [threading.Thread(target=session) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    start.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return 60 * images * passes[0] / (time.perf_counter() - begun)


def draw(rows: list[dict[str, Any]], folder: Path) -> Path:
    """Inferences a minute against workers, a line a kind."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(4.2, 3.0), layout="constrained")
    for kind in KINDS:
        points = [(row["workers"], row["inferences_per_minute"]) for row in rows if row["kind"] == kind]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label={"ray": "Ray actors"}.get(kind, kind))
    axes.set(xlabel="workers", ylabel="prepared inferences per minute", ylim=(0, None))
    axes.set_xticks(sorted({row["workers"] for row in rows}))
    axes.set_title(f"{rows[0]['model']}, linear layers at the server, {rows[0]['cores']} cores", fontsize=9)
    axes.legend()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "workers.png"
    figure.savefig(path, dpi=150)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS[:2]))
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--ray")
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _, path, program = provide(find(arguments.model), Path(folder), "table", 6)
        weights = container.load(path)[1]
    prepared = workers.prepare(program, weights)
    client = recorded(program, arguments.images)
    engine = "native" if all(layer.backend.parallel for layer in prepared.values()) else "SEAL"
    settings = [(kind, count) for kind in arguments.kinds for count in arguments.workers]
    rates: dict[tuple[str, int], list[float]] = {setting: [] for setting in settings}
    with ExitStack() as stack:
        address = arguments.ray
        if "ray" in arguments.kinds and address is None:
            address = stack.enter_context(cluster(max(arguments.workers)))
        pools = {setting: pool(*setting, prepared, address) for setting in settings}
        for made in reversed(pools.values()):
            stack.callback(made.close)
        for _ in range(arguments.repeats):
            for setting in settings:  # in turns: what else the machine does meets all of them
                found = measure(
                    *(program, prepared, client, pools[setting]),
                    *(arguments.sessions, arguments.seconds, arguments.images),
                )
                rates[setting].append(round(found, 1))
    common = {"model": arguments.model, "images": arguments.images, "engine": engine}
    common |= {"sessions": arguments.sessions, "seconds": arguments.seconds, "cores": os.cpu_count()}
    rows = []
    for (kind, count), found in rates.items():
        measured = {"inferences_per_minute": median(found), "all": found}
        rows.append({"kind": kind, "workers": count, **measured, **common})
        print(json.dumps(rows[-1]), flush=True)
        harness.record({**rows[-1], "environment": describe()}, "workers")
    if arguments.figure:
        print(draw(rows, arguments.figure))


if __name__ == "__main__":
    main()
