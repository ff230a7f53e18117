"""What a worker with a memory of its own runs: a process of this machine, or an actor on another.

Light to import: no torch. The weights come once, when the worker starts; a task names them.
"""

import atexit
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import wait

import numpy as np
from numpy.typing import NDArray

from circa.protocols.linear.parameters import parameter_set
from circa.protocols.linear.shape import LinearShape
from circa.protocols.linear.tasks import Task, Worker
from circa.protocols.linear.weights import Prepared, WeightCache
from circa.protocols.shares import Modulus

__all__ = ["Layer", "ready", "run", "start", "start_child", "travelling"]


@dataclass(frozen=True)
class Layer:
    """A linear layer as it travels to a worker. weights: (out_channels, in_channels / groups, kh, kw)."""

    modulus: Modulus
    shape: LinearShape
    weights: NDArray[np.int16]
    parameters: str


def travelling(prepared: Mapping[str, Prepared]) -> dict[str, Layer]:
    """What a worker needs to prepare the same layers."""
    return {
        name: Layer(layer.modulus, layer.shape, layer.weights, layer.parameters.name)
        for name, layer in prepared.items()
    }


_worker: Worker | None = None  # of this process, if it is a worker


def start(layers: Mapping[str, Layer], memory: int) -> None:
    """Make this process a worker that keeps at most `memory` bytes of prepared weights."""
    global _worker
    cache = WeightCache(memory)
    _worker = Worker(
        {
            name: Prepared(layer.modulus, layer.shape, layer.weights, parameter_set(layer.parameters), cache)
            for name, layer in layers.items()
        }
    )


def start_child(layers: Mapping[str, Layer], memory: int) -> None:
    """`start` in a child process of the server: the server ends it, and it ends with the server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # with that thread alive Python would not take everything apart, and the kernels would speak of leaks
    atexit.register(os._exit, 0)
    start(layers, memory)


def run(task: Task) -> list[bytes]:
    assert _worker is not None, "not a worker"
    return _worker.run(task)


def ready() -> int:
    """The process's id, once it has started."""
    return os.getpid()


def _end_with_parent() -> None:
    """A worker whose server was killed would wait for tasks for ever."""
    parent = parent_process()
    assert parent is not None, "not a child"
    wait([parent.sentinel])
    os._exit(1)
