"""What oblivious transfers cost: one JSON line a measurement, no checks.

    python benchmarks/bench_ot.py [--count 1048576] [--repeats 7]

Each role is timed alone, in one thread of one process, over an in-memory channel: no network, no overlap.
`seconds` is processor time (nobody waits, and neighbours do not count), the median; `spread` the range of the
repeats over the median. Bytes are payload, of all roles.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from circa.protocols import kernels
from circa.protocols.channel import MemoryChannel, memory_pair
from circa.protocols.ot import KAPPA, base, softspoken
from circa.protocols.ot.one_of_n import index_choices, recv_one_of_n, send_one_of_n
from circa.protocols.ot.products import product_bytes, recv_products, send_products
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31, RING32

Role = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1 << 20, help="COTs a measurement")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    native = kernels.native()
    setting = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": 1,
        "kernels": native.level() if native else "numpy",
        "numpy": np.__version__,
    }
    for name, count, nbytes, roles in measurements(arguments.count):
        rows = times(roles, arguments.repeats)
        for role, seconds in rows.items():
            median = statistics.median(seconds)
            row = {"name": name, "role": role, "count": count, "seconds": round(median, 6)}
            row |= {"per_second": round(count / median), "bytes": nbytes}
            row |= {"spread": round((max(seconds) - min(seconds)) / median, 2)}
            print(json.dumps(row | setting), flush=True)


def times(roles: dict[str, Role], repeats: int) -> dict[str, list[float]]:
    """Run the roles in their order, once to warm up, then `repeats` times."""
    seconds: dict[str, list[float]] = {role: [] for role in roles}
    for repeat in range(repeats + 1):
        for role, run in roles.items():
            start = time.thread_time()
            run()
            if repeat:
                seconds[role].append(time.thread_time() - start)
    return seconds


def measurements(count: int) -> Iterator[tuple[str, int, int, dict[str, Role]]]:
    """Name, operations, bytes of all roles together, and the roles in an order in which none waits."""
    prg = Prg(bytes(16))
    yield "base OT, one pair (both directions)", 2 * KAPPA, *base_pair(prg)

    r = prg.bits(count)
    for k in range(1, softspoken.MAX_K + 1):
        sender, receiver, left, right = extenders(prg, k)
        extend = {
            "receiver": lambda receiver=receiver: receiver.extend(r),
            "sender": lambda sender=sender: sender.extend(count),
        }
        yield f"SoftSpoken extension, k = {k}", count, softspoken.extension_bytes(count, k), extend

    received, sent = receiver.extend(r), sender.extend(count)
    for modulus, label in ((RING32, "mod 2^32"), (PRIME31, "mod the prime"), (8, "mod 2^8")):
        x = prg.uint32(count) & np.uint32(255)
        roles = {
            "sender": lambda x=x, m=modulus: send_products(left, sent, x, m),
            "receiver": lambda m=modulus: recv_products(right, received, m),
        }
        yield f"products {label}", count, product_bytes(count, modulus), roles

    for n, words in ((4, 1), (6, 1), (6, 5), (8, 1)):
        elements = count // n
        index = (prg.uint32(elements) >> np.uint32(32 - n)).astype(np.uint8)
        held, given = receiver.extend(index_choices(index, n)), sender.extend(n * elements)
        roles = {
            "sender": lambda c=given, n=n, w=words: send_one_of_n(c, n, w),
            "receiver": lambda c=held, i=index, n=n, w=words: recv_one_of_n(c, i, n, w),
        }
        yield f"1-of-2^{n} OT of {words} bits, after its COTs", elements, 0, roles


def base_pair(prg: Prg) -> tuple[int, dict[str, Role]]:
    """What one party computes in `setup_pair`; the peer's messages are made beforehand."""
    delta = prg.bits(KAPPA)
    peer_offer, peer_request = base.make_offer(prg), base.make_request(delta, prg, 1)

    def party() -> None:
        request, offer = base.make_request(delta, prg, 0), base.make_offer(prg)
        base.receiver_keys(request, peer_offer.point, 0)
        base.sender_keys(offer, peer_request.points, 1)

    return 2 * (softspoken.SENDER_SETUP_BYTES + softspoken.RECEIVER_SETUP_BYTES), {"each party": party}


def extenders(
    prg: Prg, k: int
) -> tuple[softspoken.SoftSpokenSender, softspoken.SoftSpokenReceiver, MemoryChannel, MemoryChannel]:
    left, right = memory_pair()
    keys, delta = prg.bytes(KAPPA * 32).reshape(KAPPA, 2, 16), prg.bits(KAPPA)
    delta[0] = 1
    seeds, corrections = softspoken.grown_seeds(keys, k)
    known = softspoken.punctured_seeds(keys[np.arange(KAPPA), 1 - delta], delta, corrections, k)
    sender = softspoken.SoftSpokenSender(left, delta, known, k)
    return sender, softspoken.SoftSpokenReceiver(right, seeds, k), left, right


if __name__ == "__main__":
    main()
