"""The online work of the table ReLU, both parties added, on one thread: one JSON line per setting.

    OMP_NUM_THREADS=1 python benchmarks/bench_relu_online.py [--elements 524288] [--bits 6] [--shift 8]

The receiver runs inside the sender's `recv`, so that the time of the whole is the time of both, and neither
waits. The messages are handed over in memory; nothing but the protocol's own work is timed. Median of the
repeats after a warm-up. The material is made once and used in every repeat, which no deployment may do.
"""

import argparse
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from circa.protocols.channel import Traffic, memory_pair
from circa.protocols.ot.ideal import ideal_pair
from circa.protocols.prg import Prg
from circa.protocols.relu import Activation
from circa.protocols.relu.material import nbytes
from circa.protocols.relu.table import Table
from circa.protocols.shares import RING32
from circa.protocols.sign.window import Window
from circa.protocols.steps import complete


class Line:
    """A channel whose `recv` runs the peer, if there is one, until the message is there."""

    def __init__(self, peer: Callable[["Line"], Any] | None = None):
        self.traffic, self._peer = Traffic(), peer
        self.inbox: list[Any] = []
        self.outbox: list[Any] = []
        self.peer_seconds = 0.0

    def send(self, data: Any) -> None:
        self.traffic.count_send(len(data))
        self.outbox.append(data)

    def recv(self, size: int) -> Any:
        if self._peer is not None:
            other = Line()
            other.inbox = self.outbox
            start = time.perf_counter()
            self._peer(other)
            self.peer_seconds = time.perf_counter() - start
            self.inbox = other.outbox
        self.traffic.count_recv(size)
        return self.inbox.pop(0)

    def close(self) -> None:
        """Nothing to release."""


def uneven_window(bits: int, channels: int) -> Window:
    """Another gain and another number of positive cells from channel to channel, as a conversion gives."""
    cells = tuple(1 + c % ((1 << bits) - 1) for c in range(channels))
    return Window(bits, tuple(3 + c % 5 for c in range(channels)), positive=(cells,))


def measure(batch: int, channels: int, positions: int, bits: int, shift: int, repeats: int) -> dict[str, Any]:
    act = Activation(RING32, channels, positions, shift, uneven_window(bits, channels))
    protocol, prg = Table(), Prg(b"benchmark inputs")
    z_c, z_s, y_c = (RING32.uniform(prg, act.shape(batch)) for _ in range(3))
    left, right = ideal_pair(prg.fork())
    ours, theirs = memory_pair(timeout=300)
    with ThreadPoolExecutor(1) as peer:  # the offline phase, both roles at once
        given = protocol.offline_receiver(theirs, right, act, z_c, y_c, Prg(b"benchmark recver"))
        answer = peer.submit(complete, given)
        sent = complete(protocol.offline_sender(ours, left, act, batch, Prg(b"benchmark sender")))
        received = answer.result()
    whole, receiver = [], []
    for _ in range(repeats + 2):
        line = Line(lambda ch: protocol.online_receiver(ch, act, received))
        start = time.perf_counter()
        protocol.online_sender(line, act, z_s, sent)
        whole.append(time.perf_counter() - start)
        receiver.append(line.peer_seconds)
    whole, receiver = whole[2:], receiver[2:]
    count = batch * act.elements
    seconds = statistics.median(whole)
    return {
        "protocol": "table",
        "elements": count,
        "shape": act.shape(batch),
        "n": bits,
        "shift": shift,
        "relus_per_second": round(count / seconds),
        "online_ms": round(1e3 * seconds, 3),
        "fastest_ms": round(1e3 * min(whole), 3),
        "receiver_ms": round(1e3 * statistics.median(receiver), 3),
        "online_bytes_per_relu": (line.traffic.bytes_sent + line.traffic.bytes_received) / count,
        "sender_stored_per_relu": nbytes(sent) / count,
        "receiver_stored_per_relu": nbytes(received) / count,
        "threads": 1,
        "repeats": repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--elements", type=int, default=1 << 19, help="64 channels; rounded down to a multiple"
    )
    parser.add_argument("--bits", type=int, nargs="+", default=[6])
    parser.add_argument("--shift", type=int, nargs="+", default=[8])
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True
    ).stdout.strip()
    setting = {"commit": commit, "machine": platform.machine(), "numpy": np.__version__}
    for bits in args.bits:
        for shift in args.shift:
            row = measure(1, 64, max(1, args.elements // 64), bits, shift, args.repeats)
            print(json.dumps(row | setting), flush=True)


if __name__ == "__main__":
    main()
