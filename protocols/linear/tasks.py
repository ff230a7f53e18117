"""The sender's work as tasks: plain data that may travel to another thread, process or machine.

A task is some output blocks for some blocks of a wave: step (2) of `he.py` for each pair, with a seed each.
The seed gives the mask s, then u, E and e1 in the order of `SenderBackend.respond`; whoever made the task
draws s from the same seed again. Weights are named, never part of a task. A worker parses a request once,
however many output blocks it serves, and keeps it, within a limit, for the tasks of the same wave.

What a worker sees: the weights, and requests and a public key that are pseudorandom; with the seeds also s.
So a worker is as trusted as the sender itself.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..errors import WorkerError
from ..prg import Prg
from .backend import Request, SenderBackend
from .plan import make_plan
from .weights import Prepared

__all__ = ["HELD_BYTES", "Task", "Wave", "Worker"]

HELD_BYTES = 1 << 26  # of parsed requests that a worker keeps


@dataclass(frozen=True)
class Wave:
    """The requests of some blocks: one message for each block and channel block, in this order.

    `name` and `key` are unique, not secret.
    """

    name: bytes
    key: bytes  # the name of `public`
    public: bytes
    requests: tuple[bytes, ...]

    def named(self) -> "Wave":
        """Without the messages, for a worker that holds them already."""
        return replace(self, public=b"", requests=())


@dataclass(frozen=True)
class Task:
    """Output blocks, from `output_block` on, each for `blocks` blocks of the plan, from `block` on.

    There is a seed for each response, output blocks outside, blocks inside. The wave starts at block `first`.
    """

    layer: str
    batch: int
    first: int
    block: int
    blocks: int
    output_block: int
    seeds: tuple[bytes, ...]
    wave: Wave
    attempt: int = 0

    def responses(self) -> Iterator[tuple[int, int, bytes]]:
        """Output block, block and seed of each response, in the order in which they are sent."""
        for i, seed in enumerate(self.seeds):
            yield self.output_block + i // self.blocks, self.block + i % self.blocks, seed


class Worker:
    """What tasks refer to by name: the layers' weights, and the requests held. Safe to share by threads."""

    def __init__(self, layers: Mapping[str, Prepared], held_bytes: int = HELD_BYTES):
        self._layers, self._limit, self._used = dict(layers), held_bytes, 0
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, task: Task) -> list[bytes]:
        """The responses, one for each seed.

        Raises CheckFailed for requests with values out of range, and WorkerError for a layer that it does not
        have or requests that it does not hold any more.
        """
        prepared = self._layers.get(task.layer)
        if prepared is None:
            raise WorkerError(f"this worker has no layer {task.layer!r}")
        backend = prepared.backend
        plan = make_plan(prepared.shape, task.batch, prepared.parameters)
        (public,) = self._parsed(backend, task.wave.key, (task.wave.public,)).take(0, 1)
        held = self._parsed(backend, task.wave.name, task.wave.requests)
        responses, row, at = [], prepared.row(plan, task.output_block), task.output_block
        for output_block, block, seed in task.responses():
            if output_block != at:
                row, at = prepared.row(plan, output_block), output_block
            start = (block - task.first) * plan.channel_blocks
            requests = held.take(start, start + plan.channel_blocks)
            prg, positions = Prg(seed), plan.positions(plan.blocks[block], output_block)
            mask = prepared.modulus.uniform(prg, positions.size)
            responses.append(backend.respond(public, requests, row, positions, mask, prg))
        return responses

    def _parsed(self, backend: SenderBackend, name: bytes, messages: tuple[bytes, ...]) -> "_Held":
        with self._lock:
            held = self._held.get(name)
            if held is None:
                if not any(messages):
                    raise WorkerError("this worker does not hold the requests of the task any more")
                held = self._held[name] = _Held(backend, messages)
                self._used += held.size
            self._held.move_to_end(name)
            while self._used > self._limit and len(self._held) > 2:  # a key and its requests may stay
                self._used -= self._held.popitem(last=False)[1].size
        return held


class _Held:
    """Requests, each parsed once, by whichever thread needs it first."""

    def __init__(self, backend: SenderBackend, messages: tuple[bytes, ...]):
        self._backend, self._messages = backend, list(messages)
        self._parsed: list[Request | None] = [None] * len(messages)
        self._locks = [threading.Lock() for _ in messages]
        self.size = len(messages) * backend.parameters.ciphertext_bytes

    def take(self, start: int, stop: int) -> list[Request]:
        for i in range(start, stop):  # threads that come together share the work
            if self._parsed[i] is None and self._locks[i].acquire(blocking=False):
                try:
                    self._parse(i)
                finally:
                    self._locks[i].release()
        for i in range(start, stop):
            with self._locks[i]:
                self._parse(i)
        return self._parsed[start:stop]

    def _parse(self, i: int) -> None:
        if self._parsed[i] is None:
            self._parsed[i] = self._backend.request(self._messages[i])
            self._messages[i] = b""
