"""How many table ReLUs a second two parties make and use, both at work at once: one JSON line a setting.

    OMP_NUM_THREADS=1 python benchmarks/bench_relu_rate.py [--elements 262144] [--k 6] [--shift 0 8]

Offline and online phase of one layer over an in-memory channel, one thread a party, in one process; material
is fresh in every repetition, the base OTs are made beforehand. `seconds` are wall time until the slower party
is done, from the fastest repetition: on a shared machine the others measure the neighbours. `cpu` is the
processor time of each party's thread, waiting excluded.
"""

import argparse
import json
import os
import platform
import threading
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench_relu_online import uneven_window

from circa.protocols import kernels
from circa.protocols.channel import Channel, memory_pair
from circa.protocols.ot import OtPair, setup_pair
from circa.protocols.ot.softspoken import DEFAULT_K
from circa.protocols.prg import Prg
from circa.protocols.relu import Activation
from circa.protocols.relu.table import Table
from circa.protocols.shares import RING32
from circa.protocols.steps import complete

TABLE = Table()
CHANNELS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--elements", type=int, default=1 << 18, help="rounded down to 64 channels")
    parser.add_argument("--bits", type=int, default=6)
    parser.add_argument("--shift", type=int, nargs="+", default=[0, 8])
    parser.add_argument("--k", type=int, default=DEFAULT_K, help="of the OT extension")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    native = kernels.native()
    setting = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "kernels": native.level() if native else "numpy",
        "threads_a_party": 1,
    }
    setting["load"] = round(os.getloadavg()[0], 1)
    for shift in args.shift:
        window = uneven_window(args.bits, CHANNELS)
        act = Activation(RING32, CHANNELS, max(1, args.elements // CHANNELS), shift, window)
        print(json.dumps(measure(act, args.k, args.repeats) | setting), flush=True)


def measure(act: Activation, k: int, repeats: int) -> dict[str, Any]:
    left, right = memory_pair(timeout=300)
    turn = threading.Barrier(2)
    z_s, z_c, y_c = (RING32.uniform(Prg(bytes([i]) * 16), act.shape(1)) for i in range(3))

    def sender(ot: OtPair, prg: Prg) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
        return (
            lambda: complete(TABLE.offline_sender(left, ot, act, 1, prg)),
            lambda material: TABLE.online_sender(left, act, z_s, material),
        )

    def receiver(ot: OtPair, prg: Prg) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
        return (
            lambda: complete(TABLE.offline_receiver(right, ot, act, z_c, y_c, prg)),
            lambda material: TABLE.online_receiver(right, act, material),
        )

    times: dict[str, list[tuple[float, ...]]] = {}

    def party(name: str, ch: Channel, role: Any, first: bool) -> None:
        prg = Prg.from_os()
        offline, online = role(setup_pair(ch, prg, first, k), prg)
        rows = []
        for _ in range(1 + repeats):
            turn.wait()
            clocks = [(time.perf_counter(), time.thread_time())]
            material = offline()
            clocks.append((time.perf_counter(), time.thread_time()))
            turn.wait()
            clocks.append((time.perf_counter(), time.thread_time()))
            online(material)
            clocks.append((time.perf_counter(), time.thread_time()))
            (a, b, c, d) = clocks
            rows.append((b[0] - a[0], d[0] - c[0], b[1] - a[1] + d[1] - c[1]))
        times[name] = rows[1:]

    threads = [
        threading.Thread(target=party, args=arguments)
        for arguments in (("sender", left, sender, True), ("receiver", right, receiver, False))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pairs = list(zip(times["sender"], times["receiver"], strict=True))
    offline, online = min(
        ((max(s[0], r[0]), max(s[1], r[1])) for s, r in pairs), key=lambda seconds: sum(seconds)
    )
    cost = TABLE.cost(act, 1, k)
    assert act.window is not None
    return {
        "protocol": "table",
        "elements": act.elements,
        "n": act.window.bits,
        "shift": act.shift,
        "k": k,
        "relus_per_second": round(act.elements / (offline + online)),
        "offline_seconds": round(offline, 5),
        "online_seconds": round(online, 5),
        "sender_cpu_seconds": round(min(row[2] for row in times["sender"]), 5),
        "receiver_cpu_seconds": round(min(row[2] for row in times["receiver"]), 5),
        "offline_bytes_per_relu": (cost.offline.down + cost.offline.up) / act.elements,
        "online_bytes_per_relu": (cost.online.down + cost.online.up) / act.elements,
        "repeats": repeats,
    }


if __name__ == "__main__":
    main()
