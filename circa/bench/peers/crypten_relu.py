"""CrypTen's ReLU, or a network, between two processes over loopback. Runs in CrypTen's own environment;
prints one JSON line.

    crypten_relu.py --inputs z.npy --output y.npy --provider TFP|TTP --repeats 5 [--network plan.npz]

z.npy holds int64 fixed-point values with 16 fractional bits, CrypTen's own encoding; y.npy gets the results
as float64. A network is one of `plan.py`; its weights are the second party's.

What CrypTen 0.4.1 needs to work with a current torch, and to be read correctly:
- torch moved `torch.onnx._internal.registration`, which CrypTen imports; the alias below must come first.
- `get_plain_text()` is off by exactly -1 for some negative values, so the ring elements are decoded here.

TFP: one of the two parties makes all triples, so it could compute everything; TTP: a third process deals
them. Either way the triples are requested before the clock starts (that is the offline phase), and used by
the timed online phase.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import resource
import sys
import time
from multiprocessing.queues import Queue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import pair
else:
    import pair  # a script finds its own folder's modules

PROVIDERS = ("TFP", "TTP")


def load(rank: int, port: int, provider: str) -> Any:
    """Import CrypTen as process `rank` of two (2 is the dealer)."""
    os.environ.update(
        WORLD_SIZE="2",
        RANK=str(rank),
        DISTRIBUTED_BACKEND="gloo",
        RENDEZVOUS=f"tcp://127.0.0.1:{port}",
        GLOO_SOCKET_IFNAME="lo",
    )
    import torch

    torch.set_num_threads(1)
    try:
        importlib.import_module("torch.onnx._internal.registration")
    except ModuleNotFoundError:
        moved = importlib.import_module("torch.onnx._internal.torchscript_exporter.registration")
        sys.modules["torch.onnx._internal.registration"] = moved
    crypten = importlib.import_module("crypten")
    importlib.import_module("crypten.mpc")
    crypten.cfg.mpc.provider = provider
    crypten.cfg.communicator.verbose = True
    return crypten


def deal(port: int) -> None:
    """The trusted third party, until both others have ended."""
    load(2, port, "TTP").mpc.provider.TTPServer()


def party(rank: int, port: int, options: argparse.Namespace, results: "Queue[Any]") -> None:
    crypten = load(rank, port, options.provider)
    import numpy as np
    import torch

    crypten.init()
    ch = crypten.communicator.get()
    provider = crypten.mpc.get_default_provider()
    z = torch.from_numpy(np.load(options.inputs))
    x = crypten.cryptensor(z.float() / (1 << pair.FRACTION_BITS), src=0)
    work = x.relu
    if options.network:
        layers = importlib.import_module("crypten_layers").load(crypten, options.network)

        def work() -> Any:
            return layers(x)

    provider.trace(True)
    work()
    requests = list(provider.request_cache)
    provider.trace(False)

    offline, online = [], []
    for _ in range(1 + options.repeats):
        provider.request_cache, provider.tuple_cache = list(requests), {}
        offline.append(clock(ch, provider.fill_cache)[1])
        y, spent = clock(ch, work)
        online.append(spent)
        time.sleep(0.05)
    total = ch.all_reduce(y.share.clone())
    if rank == 0:
        np.save(options.output, total.double().numpy() / (1 << pair.FRACTION_BITS))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    results.put((rank, {"offline": offline[1:], "online": online[1:], "peak_bytes": peak}))
    ch.barrier()
    if options.provider == "TTP":
        crypten.uninit()


def clock(ch: Any, work: Any) -> tuple[Any, dict[str, Any]]:
    """Run `work` between barriers: wall and processor seconds, bytes and rounds."""
    ch.barrier()
    ch.reset_communication_stats()
    line, cpu, start = pair.loopback_bytes(), time.process_time(), time.perf_counter()
    result = work()
    stats = ch.get_communication_stats()
    cpu = time.process_time() - cpu
    ch.barrier()
    spent = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": cpu,
        "line_bytes": pair.loopback_bytes() - line,
        "rounds": stats["rounds"],
    }
    return result, spent


def main() -> None:
    parser = pair.arguments(__doc__)
    parser.add_argument("--provider", choices=PROVIDERS, default="TFP")
    options = parser.parse_args()
    port = pair.free_port()
    context = multiprocessing.get_context("spawn")
    results: Queue[Any] = context.Queue()
    processes = [context.Process(target=party, args=(rank, port, options, results)) for rank in (0, 1)]
    if options.provider == "TTP":
        processes.append(context.Process(target=deal, args=(port,)))
    with pair.running(processes):
        parties = pair.collect(results, processes)
    from importlib.metadata import version

    print(json.dumps({"version": version("crypten"), "torch": version("torch"), "parties": parties}))


if __name__ == "__main__":
    main()
