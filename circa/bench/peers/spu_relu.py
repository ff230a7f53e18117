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
import re
import resource
import sys
import tempfile
import time
from importlib.metadata import version
from multiprocessing.queues import Queue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import pair
else:
    import pair  # a script finds its own folder's modules

PROTOCOLS = ("SEMI2K", "CHEETAH")
FIELDS = {"FM64": 18, "FM32": 8}  # and their fractional bits


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
    desc.recv_timeout_ms = desc.http_timeout_ms = 1000 * pair.TIMEOUT
    link = libspu.link.create_brpc(desc, rank)
    runtime = spu.Runtime(link, config(options))
    for name, share in secrets.items():
        runtime.set_var(name, share)
    spent = []
    for _ in range(1 + options.repeats):
        together.wait()
        line, cpu, start = pair.loopback_bytes(), time.process_time(), time.perf_counter()
        runtime.run(program)
        cpu = time.process_time() - cpu
        link.barrier()
        seconds = time.perf_counter() - start
        together.wait()
        spent.append({"seconds": seconds, "cpu_seconds": cpu, "line_bytes": pair.loopback_bytes() - line})
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


def main() -> None:
    parser = pair.arguments(__doc__)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="SEMI2K")
    parser.add_argument("--field", choices=tuple(FIELDS), default="FM64")
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")

    import jax.numpy as jnp
    import numpy as np
    import spu
    import spu.utils.frontend as frontend
    from spu import libspu

    x = (np.load(options.inputs) / (1 << pair.FRACTION_BITS)).astype(np.float32)

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
    ports = [pair.free_port(), pair.free_port()]
    context = multiprocessing.get_context("spawn")
    results: Queue[Any] = context.Queue()
    together = context.Barrier(2, timeout=pair.TIMEOUT)
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        processes = [
            context.Process(
                target=party, args=(i, ports, options, (program, shares[i], log), results, together)
            )
            for i in (0, 1)
        ]
        with pair.running(processes):
            try:
                parties = pair.collect(results, processes)
            except Exception:
                for i, process in enumerate(processes):
                    with open(f"{log}.{i}") as lines:
                        said = lines.read()[-1000:]
                    sys.stderr.write(f"party {i}, exit status {process.exitcode}: {said}\n")
                raise
        turns = rounds(f"{log}.0")
    np.save(options.output, np.asarray(io.reconstruct([found.pop("y") for found in parties]), np.float64))
    for spent in parties[0]["online"]:
        spent["rounds"] = turns
    print(
        json.dumps(
            {
                "version": version("spu"),
                "jax": version("jax"),
                "fraction_bits": FIELDS[options.field],
                "parties": parties,
            }
        )
    )


if __name__ == "__main__":
    main()
