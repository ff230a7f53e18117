"""The two processes of a peer's script and the line between them. Runs in the peer's environment, imports
nothing of ours.
"""

import argparse
import queue
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.queues import Queue
from typing import Any

FRACTION_BITS = 16  # of the inputs
TIMEOUT = 560


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What every script takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--inputs", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--network")
    parser.add_argument("--repeats", type=int, default=5)
    return parser


def loopback_bytes() -> int:
    """Bytes that the loopback interface has carried, headers included; every one is counted once."""
    with open("/proc/net/dev") as lines:
        for line in lines:
            name, _, counters = line.partition(":")
            if name.strip() == "lo":
                return int(counters.split()[8])
    return 0


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def running(processes: list[Any]) -> Iterator[None]:
    """Started, and ended with the block."""
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def collect(results: "Queue[Any]", processes: list[Any]) -> list[Any]:
    """Both parties' results, which each puts there with its rank; an error as soon as one has died."""
    parties: dict[int, Any] = {}
    deadline = time.monotonic() + TIMEOUT
    while len(parties) < 2:
        try:
            rank, found = results.get(timeout=1)
            parties[rank] = found
        except queue.Empty:
            if any(process.exitcode for process in processes):
                raise RuntimeError("a party died: it said why above") from None
            if time.monotonic() > deadline:
                raise
    for process in processes:
        process.join(20)
    return [parties[0], parties[1]]
