"""Workers on the machines of a Ray cluster: the same tasks, each worker an actor.

Every machine of the cluster sees the weights, the clients' public keys and requests, and the seeds of the
answers: it must be trusted like the server itself. Ray moves Python objects by pickle, between the server and
its own workers only. Nothing that a client sent is unpickled: messages travel as bytes and are parsed by
`Worker`. Ray retries nothing of its own accord: a lost task is done again by its session with fresh seeds.
"""

import logging
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import chdir, suppress
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from circa.errors import CircaError, ParameterError
from circa.protocols.linear.weights import Prepared
from circa.transport import parse_address

from . import remote
from .pools import Lanes

__all__ = ["Cluster", "actors"]

T = TypeVar("T")

PORT = 6379  # Ray's default
PATIENCE = 10.0  # seconds


def actors(prepared: Mapping[str, Prepared], count: int | None, memory: int, address: str) -> "Cluster":
    """`count` workers on the cluster at `address`, by default one a core.

    Raises ParameterError where Ray is not installed, no cluster answers, or its machines lack this library.
    """
    try:
        import ray
    except ImportError:
        raise ParameterError("--ray needs Ray: pip install 'circa[ray]', on every machine") from None
    host, port = parse_address(address, PORT)
    ours = not ray.is_initialized()
    try:
        socket.create_connection((host, port), PATIENCE).close()  # Ray alone would try for minutes
        if ours:
            # Workers import from the current folder of who connects: it may hold a checkout of circa.
            with TemporaryDirectory() as nowhere, chdir(nowhere):
                ray.init(f"{host}:{port}", log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ParameterError(
            f"no Ray cluster answers at {host}:{port} ({type(error).__name__}): start one with `ray start"
            " --head`, and give the address that it prints"
        ) from error
    count = count or max(1, int(ray.cluster_resources().get("CPU", 1)))
    layers = ray.put(remote.travelling(prepared))
    try:
        return Cluster(count, lambda i: _Actor(layers, memory // count, i), ours)
    except BaseException:
        if ours:
            ray.shutdown()
        raise


class Cluster(Lanes):
    """One lane an actor; ends the connection that it opened."""

    def __init__(self, count: int, new: Callable[[int], Executor], ours: bool):
        self._ours = ours
        super().__init__(
            count,
            new,
            "Ray actors",
            "is the same version of circa installed on every machine?",
        )

    def close(self) -> None:
        super().close()
        if self._ours:
            import ray

            self._ours = False
            ray.shutdown()


class _Station:
    """What runs on a machine of the cluster."""

    def __init__(self, layers: dict[str, remote.Layer], memory: int):
        remote.start(layers, memory)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)


class _Actor(Executor):
    """One actor as an executor, broken once a call was lost.

    Workers go round the cores of the cluster, but claim none: after a machine is lost, its workers must find
    a place on those that are left. A machine that is lost while Ray does not know it yet fails the start.
    """

    def __init__(self, layers: Any, memory: int, place: int):
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        cores = [
            node["NodeID"]
            for node in sorted(ray.nodes(), key=lambda node: str(node["NodeID"]))
            if node["Alive"]
            for _ in range(max(1, int(node["Resources"].get("CPU", 0))))
        ]
        where = NodeAffinitySchedulingStrategy(cores[place % len(cores)], soft=False)
        kind = ray.remote(_Station).options(
            num_cpus=0, max_restarts=0, max_task_retries=0, scheduling_strategy=where
        )
        self._actor: Any = kind.remote(layers, memory)
        self._broken = False

    def submit(self, function: Callable[..., T], /, *arguments: Any, **_: Any) -> "Future[T]":
        if self._broken:
            raise BrokenExecutor("the actor is gone")
        ours: Future[T] = Future()
        theirs: Future[T] = self._actor.call.remote(function, *arguments).future()
        theirs.add_done_callback(lambda done: self._settle(done, ours))
        return ours

    def _settle(self, theirs: "Future[T]", ours: "Future[T]") -> None:
        from ray.exceptions import RayError, RayTaskError

        if not ours.set_running_or_notify_cancel():
            return
        error = theirs.exception()
        if error is None:
            ours.set_result(theirs.result())
        elif isinstance(error, RayTaskError):  # its text has the far side's traceback: keep the error alone
            cause = error.cause
            ours.set_exception(cause if isinstance(cause, CircaError) else RuntimeError(type(cause).__name__))
        else:
            self._broken |= isinstance(error, RayError)
            ours.set_exception(BrokenExecutor(type(error).__name__))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        import ray

        self._broken = True
        if ray.is_initialized():
            with suppress(Exception):  # it may be gone, or the cluster
                ray.kill(self._actor)
