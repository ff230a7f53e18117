"""The sender's answers, streamed: computed by workers while later requests arrive, sent in order.

One thread reads the requests, hands out tasks and sends what is done; it looks for finished work before every
message that it waits for. So a response leaves at the latest with the next request, and layers overlap: tasks
of layer i + 1 are under way while the last ones of layer i finish. A bounded number of tasks is outstanding;
when the bound is reached, nothing more is read.

A task that fails for another reason than the peer's messages is done again with fresh seeds: nothing of the
failed attempt was sent, and no seed is used for two attempts. After ATTEMPTS failures the session ends.
"""

import secrets
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel
from ..errors import CircaError, WorkerError
from ..prg import SEED_BYTES, Prg
from .encoding import place
from .plan import Plan, make_plan
from .tasks import Task, Wave, Worker
from .weights import Prepared

__all__ = ["ATTEMPTS", "Answers", "InThread", "Progress", "Workers"]

ATTEMPTS = 3
_AHEAD = 4  # tasks a worker that may be outstanding in a session
_RUN = 16  # responses of one task, at most
_TRIPS = 2  # tasks a worker into which a wave is cut where they travel
_PARTS = 4  # tasks a worker into which a wave is cut, at least, where it has as many responses

Residues = NDArray[np.uint32]
Progress = Callable[[int, int], None]  # polynomials done, polynomials in all
Span = Callable[[str], AbstractContextManager[None]]


class Workers(Protocol):
    """Where tasks run. Shared by the sessions of a process."""

    @property
    def count(self) -> int:
        """Tasks that are worked on at one time."""
        ...

    @property
    def lanes(self) -> int:
        """Places with a memory of their own: an output block always goes to the same one."""
        ...

    def submit(self, lane: int, task: Task) -> "Future[list[bytes]]": ...


class InThread:
    """The caller's own thread: a task is done when `submit` returns."""

    count = lanes = 1

    def __init__(self, worker: Worker):
        self._worker = worker

    def submit(self, lane: int, task: Task) -> "Future[list[bytes]]":
        future: Future[list[bytes]] = Future()
        try:
            future.set_result(self._worker.run(task))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass
class _Layer:
    name: str
    prepared: Prepared
    plan: Plan
    s: Residues
    progress: Progress | None
    done: int = 0


@dataclass
class _Pending:
    layer: _Layer
    lane: int
    task: Task
    future: "Future[list[bytes]]"


class Answers:
    """The answers of one offline pass. A context: whatever ends it early cancels the outstanding tasks.

    span: entered with a layer's name around the work for it, of this thread, up to the work for another one
        or `finish`; for measurements.
    """

    def __init__(self, ch: Channel, workers: Workers, prg: Prg, span: Span | None = None):
        self._ch, self._workers, self._prg = ch, workers, prg
        self._span: Span = span or (lambda layer: nullcontext())
        self._at, self._stack = "", ExitStack()  # the layer whose span is open
        self._pending: deque[_Pending] = deque()

    def answer(
        self, public: bytes, key: bytes, name: str, prepared: Prepared, batch: int, progress: Progress | None
    ) -> Residues:
        """Read a layer's requests and hand them out. Returns s, complete once `finish` returned."""
        plan = make_plan(prepared.shape, batch, prepared.parameters)
        s = np.empty((batch, *prepared.shape.output_shape), np.uint32)
        layer, first = _Layer(name, prepared, plan, s, progress), 0
        for blocks in plan.waves():
            messages = self._receive(layer, len(blocks) * plan.channel_blocks)
            wave = Wave(secrets.token_bytes(16), key, public, messages)
            for task in self._cut(layer, wave, first, len(blocks)):
                self._hand_out(layer, task)
            first += len(blocks)
        return s

    def finish(self) -> None:
        """Send every response that is still outstanding."""
        while self._pending:
            self._send_oldest()
        self._turn_to("")

    def _receive(self, layer: _Layer, count: int) -> tuple[bytes, ...]:
        """(1)"""
        messages: list[bytes] = []
        while len(messages) < count:
            self._send_finished()
            self._turn_to(layer.name)
            while len(messages) < count and not self._finished():
                messages.append(self._ch.recv(layer.prepared.parameters.request_bytes))
        return tuple(messages)

    def _cut(self, layer: _Layer, wave: Wave, first: int, blocks: int) -> Iterator[tuple[int, Task]]:
        """A wave's tasks in the order of its responses, each with its lane."""
        plan, lanes, position = layer.plan, self._workers.lanes, 0
        outputs, run = self._size(plan, blocks)
        for m in range(0, plan.output_blocks, outputs):
            made = min(outputs, plan.output_blocks - m)
            for block in range(first, first + blocks, run):
                # few output blocks leave lanes without work unless they share them
                lane = (m // outputs if plan.output_blocks >= lanes else position) % lanes
                width = min(run, first + blocks - block)
                seeds = self._seeds(made * width)
                yield lane, Task(layer.name, plan.batch, first, block, width, m, seeds, wave)
                position += 1

    def _size(self, plan: Plan, blocks: int) -> tuple[int, int]:
        """How many output blocks, and how many of a wave's blocks, a task covers."""
        count, lanes = self._workers.count, self._workers.lanes
        if 1 < lanes <= plan.output_blocks and blocks <= _RUN:  # few large tasks, since each has to travel
            return min(-(-plan.output_blocks // (_TRIPS * lanes)), _RUN // blocks), blocks
        parts = min(blocks, max(-(-blocks // _RUN), -(-_PARTS * count // plan.output_blocks)))
        return 1, -(-blocks // parts)

    def _seeds(self, count: int) -> tuple[bytes, ...]:
        return tuple(self._prg.bytes(SEED_BYTES).tobytes() for _ in range(count))

    def _hand_out(self, layer: _Layer, placed: tuple[int, Task]) -> None:
        lane, task = placed
        while len(self._pending) >= _AHEAD * self._workers.count:
            self._send_oldest()
        self._turn_to(layer.name)
        self._pending.append(_Pending(layer, lane, task, self._workers.submit(lane, task)))
        self._send_finished()

    def _finished(self) -> bool:
        return bool(self._pending) and self._pending[0].future.done()

    def _send_finished(self) -> None:
        while self._finished():
            self._send_oldest()

    def _send_oldest(self) -> None:
        """(2)"""
        oldest = self._pending[0]
        layer = oldest.layer
        self._turn_to(layer.name)
        responses = self._result(oldest)
        task = self._pending.popleft().task
        for response, (output_block, i, seed) in zip(responses, task.responses(), strict=True):
            self._ch.send(response)
            block = layer.plan.blocks[i]
            mask = layer.prepared.modulus.uniform(Prg(seed), layer.plan.positions(block, output_block).size)
            place(layer.plan, block, output_block, mask, layer.s)
            layer.done += 1
            if layer.progress is not None:
                layer.progress(layer.done, layer.plan.responses)

    def _turn_to(self, layer: str) -> None:
        if layer != self._at:
            self._stack.close()
            self._at = layer
            if layer:
                self._stack.enter_context(self._span(layer))

    def _result(self, pending: _Pending) -> list[bytes]:
        """Wait for a task's responses; do it again where a worker failed."""
        while True:
            try:
                return pending.future.result()
            except WorkerError as error:
                failure: Exception = error
            except CircaError:
                raise  # what the peer sent is at fault: another attempt would fail too
            except Exception as error:
                failure = error
            task = pending.task
            if task.attempt + 1 >= ATTEMPTS:
                raise WorkerError(
                    f"workers failed {ATTEMPTS} times at layer {task.layer!r} ({type(failure).__name__}):"
                    " see their log, and whether memory suffices for so many"
                ) from failure
            pending.task = replace(task, seeds=self._seeds(len(task.seeds)), attempt=task.attempt + 1)
            pending.future = self._workers.submit(pending.lane, pending.task)

    def __enter__(self) -> "Answers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn_to("")
        while self._pending:
            self._pending.pop().future.cancel()
