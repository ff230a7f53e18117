"""SPU's ReLU, or a network, between two processes over loopback. Runs in SPU's own environment; prints one
JSON line.

    spu_relu.py --inputs z.npy --output y.npy --protocol SEMI2K|CHEETAH --field FM64|FM32 --repeats 5
        [--network plan.npz]

z.npy holds int64 fixed-point values with 16 fractional bits; y.npy gets the results as float64. SPU encodes
with 18 fractional bits in FM64 and 8 in FM32 (its defaults). A network is one of `plan.py`; its weights are
secret like the input.

SEMI2K as configured by default lets one of the two parties make all correlated randomness, so it could
compute everything; CHEETAH is a real two-party protocol. SPU makes its correlations when it needs them:
there is no offline phase apart. The first run, which also sets the OTs up, is not timed.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import queue
import re
import resource
import socket
import sys
import tempfile
import time
from contextlib import closing
from importlib.metadata import version
from multiprocessing.queues import Queue
from typing import Any

PROTOCOLS = ("SEMI2K", "CHEETAH")
FIELDS = {"FM64": 18, "FM32": 8}  # and their fractional bits
FRACTION_BITS = 16
TIMEOUT = 560


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


def config(options: argparse.Namespace, profile: bool = False) -> Any:
    from spu import libspu

    config = libspu.RuntimeConfig()
    config.protocol = getattr(libspu.ProtocolKind, options.protocol)
    config.field = getattr(libspu.FieldType, options.field)
    config.fxp_fraction_bits = FIELDS[options.field]
    config.max_concurrency = 1
    config.enable_pphlo_profile = config.enable_hal_profile = profile
    return config


def party(
    rank: int, ports: list[int], options: argparse.Namespace, work: Any, results: "Queue[Any]", together: Any
) -> None:
    program, secrets, log = work
    out = os.open(f"{log}.{rank}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(out, 1)  # SPU logs to stdout, from C++
    os.dup2(out, 2)
    import spu
    from spu import libspu

    desc = libspu.link.Desc()
    for i, port in enumerate(ports):
        desc.add_party(f"p{i}", f"127.0.0.1:{port}")
    desc.recv_timeout_ms = desc.http_timeout_ms = 1000 * TIMEOUT
    link = libspu.link.create_brpc(desc, rank)
    runtime = spu.Runtime(link, config(options))
    for name, share in secrets.items():
        runtime.set_var(name, share)
    spent = []
    for _ in range(1 + options.repeats):
        together.wait()
        line, cpu, start = loopback_bytes(), time.process_time(), time.perf_counter()
        runtime.run(program)
        cpu = time.process_time() - cpu
        link.barrier()
        seconds = time.perf_counter() - start
        together.wait()
        spent.append({"seconds": seconds, "cpu_seconds": cpu, "line_bytes": loopback_bytes() - line})
    y = runtime.get_var("y")
    logged = spu.Runtime(link, config(options, profile=True))  # its log counts the rounds
    for name, share in secrets.items():
        logged.set_var(name, share)
    together.wait()
    logged.run(program)
    link.barrier()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    results.put((rank, {"online": spent[1:], "peak_bytes": peak, "y": y}))
    results.close()
    results.join_thread()
    together.wait()
    os._exit(0)  # brpc's threads do not end by themselves


def rounds(log: str) -> int | None:
    """Messages that one party sent in the logged run: one a round in SEMI2K, in CHEETAH many small ones."""
    with open(log) as lines:
        found = re.findall(r"send actions (\d+)", lines.read())
    return int(found[-1]) if found else None


def collect(results: "Queue[Any]", processes: list[Any]) -> dict[int, Any]:
    """Both parties' results; an error as soon as one has died."""
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
    return parties


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="SEMI2K")
    parser.add_argument("--field", choices=tuple(FIELDS), default="FM64")
    parser.add_argument("--network")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")

    import jax.numpy as jnp
    import numpy as np
    import spu
    import spu.utils.frontend as frontend
    from spu import libspu

    x = (np.load(options.inputs) / (1 << FRACTION_BITS)).astype(np.float32)

    def relu(v: Any) -> Any:
        return jnp.maximum(v, 0)

    function, weights = relu, {}
    if options.network:
        function, weights = importlib.import_module("spu_layers").load(options.network)
    secret = libspu.Visibility.VIS_SECRET
    values = {"x": x, **weights}
    visible = [secret] * len(values)
    program, _ = frontend.compile(
        frontend.Kind.JAX, function, list(values.values()), {}, list(values), visible, lambda _: ["y"]
    )
    io = spu.Io(2, config(options))
    shared = {name: io.make_shares(value, secret) for name, value in values.items()}
    shares = [{name: parts[i] for name, parts in shared.items()} for i in (0, 1)]
    ports = [free_port(), free_port()]
    context = multiprocessing.get_context("spawn")
    results: Queue[Any] = context.Queue()
    together = context.Barrier(2, timeout=TIMEOUT)
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        processes = [
            context.Process(
                target=party, args=(i, ports, options, (program, shares[i], log), results, together)
            )
            for i in (0, 1)
        ]
        for process in processes:
            process.start()
        try:
            parties = collect(results, processes)
            for process in processes:
                process.join(20)
        except Exception:
            for i, process in enumerate(processes):
                with open(f"{log}.{i}") as lines:
                    sys.stderr.write(f"party {i}, exit status {process.exitcode}: {lines.read()[-1000:]}\n")
            raise
        finally:
            for process in processes:
                process.kill()
        turns = rounds(f"{log}.0")
    np.save(options.output, np.asarray(io.reconstruct([parties[i].pop("y") for i in (0, 1)]), np.float64))
    for spent in parties[0]["online"]:
        spent["rounds"] = turns
    print(
        json.dumps(
            {
                "version": version("spu"),
                "jax": version("jax"),
                "fraction_bits": FIELDS[options.field],
                "parties": [parties[0], parties[1]],
            }
        )
    )


if __name__ == "__main__":
    main()
