"""Where the server's linear layers are computed: in the session's thread, threads, processes, or a cluster.

    start(prepared)                                   threads, where the engine is native code
    start(prepared, workers=4)                        processes, where it holds Python's lock (SEAL)
    start(prepared, workers=4, ray="10.0.0.1:6379")   actors of a Ray cluster

All run the same tasks (`circa.protocols.linear.tasks`) and give the same results. A worker that dies is
replaced, and a process that hangs; its tasks are done again by the sessions that made them, with fresh
randomness.
"""

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from circa.arguments import whole
from circa.program import Program
from circa.protocols.linear.he import LinearSender
from circa.protocols.linear.tasks import Worker
from circa.protocols.linear.weights import Prepared, WeightCache

from .pools import InProcess, Lanes, Pool, Threads

__all__ = ["MEMORY", "InProcess", "Lanes", "Pool", "Threads", "prepare", "start"]

MEMORY = 1024 * 10**6  # bytes of prepared weights, of all workers together


def prepare(
    program: Program, weights: Mapping[str, NDArray[np.int64]], memory: int = MEMORY
) -> dict[str, Prepared]:
    """Check the weights of every linear layer. Raises ParameterError for weights that cannot be hidden."""
    cache = WeightCache(memory)
    return {
        op.name: LinearSender.prepare(
            program.modulus, op.geometry, weights[f"{op.name}.weight"], op.parameters, cache
        )
        for op in program.linear
    }


def start(
    prepared: Mapping[str, Prepared],
    workers: int | None = None,
    memory: int = MEMORY,
    ray: str | None = None,
) -> Pool:
    """Workers for these layers.

    workers: how many; by default one a core for threads, one a core of the cluster for Ray, and none (the
        session's thread computes) where only processes would work at the same time.
    memory: bytes of prepared weights; workers with memories of their own divide it.
    ray: a cluster's address.

    Raises ParameterError where Ray is not installed or no cluster answers.
    """
    if workers is not None:
        workers = whole("workers", workers, 1, 1 << 16)
    if ray is not None:
        from .cluster import actors

        return actors(prepared, workers, memory, ray)
    parallel = all(layer.backend.parallel for layer in prepared.values())
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if parallel else 1
    if workers == 1:
        return InProcess(Worker(prepared))
    return Threads(Worker(prepared), workers) if parallel else Lanes.of_processes(prepared, workers, memory)
