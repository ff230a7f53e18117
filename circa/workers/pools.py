"""Workers in this process and in others, behind `concurrent.futures` executors."""

import logging
import multiprocessing
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

from circa.errors import ParameterError, WorkerError
from circa.protocols.linear.stream import InThread
from circa.protocols.linear.tasks import Task, Worker
from circa.protocols.linear.weights import Prepared

from . import remote

__all__ = ["InProcess", "Lanes", "Pool", "Threads"]

log = logging.getLogger("circa.workers")

Responses = list[bytes]
START, STARTS = 60.0, 3  # seconds in which a worker must start, and how often one is tried
LIMIT = 300.0  # seconds without a result after which a process at work hangs: a task takes a few at most
_HELD = 8  # waves and keys whose requests a worker is taken to hold; it holds fewer of large ones


class Pool(Protocol):
    """`circa.protocols.linear.stream.Workers` with an end."""

    @property
    def count(self) -> int: ...

    @property
    def lanes(self) -> int: ...

    def submit(self, lane: int, task: Task) -> "Future[Responses]": ...

    def close(self) -> None:
        """Cancel what has not begun, wait for the rest, end the workers. May be called twice."""
        ...


class InProcess(InThread):
    """No workers: each session's thread computes."""

    def __str__(self) -> str:
        return "each client's own thread works"

    def close(self) -> None:
        pass


class Threads:
    """Threads of this process, which share one memory of prepared weights and requests."""

    lanes = 1

    def __init__(self, worker: Worker, count: int):
        self.count, self._worker = count, worker
        self._executor = ThreadPoolExecutor(count, "circa-worker")

    def __str__(self) -> str:
        return f"{self.count} workers (threads)"

    def submit(self, lane: int, task: Task) -> "Future[Responses]":
        return _submitted(self._executor, self._worker.run, task)

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)


class Lanes:
    """Workers with memories of their own, each behind an executor of one; a broken one is replaced."""

    def __init__(
        self, count: int, new: Callable[[int], Executor], kind: str, remedy: str, limit: float | None = None
    ):
        self.count = self.lanes = count
        self._kind = kind
        self._closed = threading.Event()
        self._lanes = [_Lane(partial(new, i), f"worker {i + 1} of {count} ({kind})") for i in range(count)]
        try:
            self.processes = [lane.ready.result(START) for lane in self._lanes]
        except Exception as error:
            self.close()
            raise ParameterError(
                f"no workers ({kind}) could start, {type(error).__name__}: {remedy}"
            ) from error
        if limit is not None:
            threading.Thread(target=self._watch, args=(limit,), name="circa-watch", daemon=True).start()

    @classmethod
    def of_processes(
        cls, prepared: Mapping[str, Prepared], count: int, memory: int, limit: float = LIMIT
    ) -> "Lanes":
        """Processes of this machine, not forked: the server has threads. One that gives no result for
        `limit` seconds while it has tasks is killed, and replaced like any that died.
        """
        context = multiprocessing.get_context("spawn")
        arguments = (remote.travelling(prepared), memory // count)
        return cls(
            count,
            lambda _: ProcessPoolExecutor(1, context, initializer=remote.start_child, initargs=arguments),
            "processes",
            'is memory left, and does the program that starts it keep behind `if __name__ == "__main__":`?',
            limit,
        )

    def __str__(self) -> str:
        return f"{self.count} workers ({self._kind})"

    def submit(self, lane: int, task: Task) -> "Future[Responses]":
        return self._lanes[lane].submit(task)

    def _watch(self, limit: float) -> None:
        while not self._closed.wait(limit / 8):
            for lane in self._lanes:
                lane.kill_if_silent(limit)

    def close(self) -> None:
        for lane in self._lanes:
            lane.close()
        self._closed.set()


class _Lane:
    """One worker, and which requests it holds already: they travel to it once."""

    def __init__(self, new: Callable[[], Executor], name: str):
        self._new, self._name = new, name
        self._lock = threading.Lock()
        self._closed = False
        self._start()

    def _start(self) -> None:
        self._held: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: set[Future[Responses]] = set()
        self._heard = 0.0  # when the first of these began, or the last result came
        self._executor = self._new()
        self.ready = self._executor.submit(remote.ready)  # it starts now, not with the first client

    def submit(self, task: Task) -> "Future[Responses]":
        with self._lock:
            future = self._submitted(task)
            if isinstance(future.exception() if future.done() else None, BrokenExecutor) and not self._closed:
                log.warning("%s died: another one takes its place", self._name)
                self._replace()
                future = self._submitted(task)
        return future

    def _replace(self) -> None:
        """Wait for the new one: a machine that was lost may be offered again until the cluster knows."""
        for _ in range(STARTS):
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._start()
            with suppress(Exception):
                self.ready.result(START)
                return

    def _submitted(self, task: Task) -> "Future[Responses]":
        known = {task.wave.key, task.wave.name} <= self._held.keys() and task.attempt == 0
        for name in (task.wave.key, task.wave.name):
            self._held[name] = None
            self._held.move_to_end(name)
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        if not self._waiting:
            self._heard = time.monotonic()
        future = _submitted(
            self._executor, remote.run, replace(task, wave=task.wave.named()) if known else task
        )
        self._waiting.add(future)
        future.add_done_callback(self._settled)
        return future

    def _settled(self, future: "Future[Responses]") -> None:
        self._heard = time.monotonic()
        self._waiting.discard(future)

    def kill_if_silent(self, limit: float) -> None:
        """A child process of ours alone. Its tasks fail, and who waits for them submits them again."""
        if self._waiting and time.monotonic() - self._heard > limit:
            log.warning("%s gave no result for %g s and is killed", self._name, limit)
            for child in multiprocessing.active_children():
                if child.pid == self.ready.result():
                    child.kill()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._executor.shutdown(cancel_futures=True)


def _submitted(executor: Executor, run: Callable[[Task], Responses], task: Task) -> "Future[Responses]":
    """`executor.submit`, but the refusal of an executor that is broken or shut down is the future's."""
    try:
        return executor.submit(run, task)
    except RuntimeError as error:  # BrokenExecutor is one
        future: Future[Responses] = Future()
        closed = WorkerError("the server's workers have ended")
        future.set_exception(error if isinstance(error, BrokenExecutor) else closed)
        return future
