"""Private inference over loopback: a server and a client process, one thread each; one JSON line a network.

    python benchmarks/bench_inference.py [resnet20 resnet32 resnet18_cifar mnist_b] [--images 1] [--repeats 5]

Trained weights where ../shared/data is there, random ones otherwise, and random images: neither changes the
cost. Seconds are wall time at the client: medians over the repeats, with the fastest and the slowest.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

import circa
import circa.models
from circa.estimate import estimate

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
INPUTS = {"mnist_b": (1, 28, 28)}
CHECKPOINTS = {"resnet20": "cifar10_resnet20.pt", "mnist_b": "mnist_cnn_b.pt"}


def build(name: str) -> nn.Module:
    model: nn.Module = circa.models.MnistB() if name == "mnist_b" else getattr(circa.models, name)()
    checkpoint = SHARED / CHECKPOINTS.get(name, "none")
    if checkpoint.is_file():
        model.load_state_dict(torch.load(checkpoint, weights_only=True))
    return model.eval()


def measure(name: str, images: int, repeats: int, relu: str) -> dict[str, Any]:
    shape = INPUTS.get(name, (3, 32, 32))
    generator = torch.Generator().manual_seed(0)
    x: Tensor = torch.randn(images, *shape, generator=generator)
    model = build(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.circa"
        start = time.perf_counter()
        converted = circa.convert(model, torch.randn(32, *shape, generator=generator), relu=relu)
        conversion = time.perf_counter() - start
        converted.save(path)
        command = [
            sys.executable,
            "-P",
            "-m",
            "circa",
            "serve",
            str(path),
            "--port",
            "0",
            "--threads",
            "1",
            "--json",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout
                address = json.loads(server.stdout.readline())["address"]
                offline, online = run(address, x, repeats)
                peak_server = peak_memory(server.pid)
            finally:
                server.terminate()
    predicted = estimate(converted.program, images)
    sent = {
        phase: sum(r.bytes_sent + r.bytes_received for r in predicted.rows if r.phase == phase)
        for phase in ("offline", "online")
    }
    return {
        "network": name,
        "relu": relu,
        "images": images,
        "relus": converted.program.relus * images,
        "conversion_seconds": conversion,
        "offline_seconds": spread(offline),
        "online_seconds": spread(online),
        "offline_bytes": sent["offline"],
        "online_bytes": sent["online"],
        "online_rounds": sum(r.rounds for r in predicted.rows if r.phase == "online"),
        "peak_bytes_client": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "peak_bytes_server": peak_server,
        "native_kernels": native(),
    }


def run(address: str, x: Tensor, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of every offline and online pass; the first of each is a warm-up and not in the lists."""
    offline, online = [], []
    with circa.connect(address) as session:
        for _ in range(repeats + 1):
            start = time.perf_counter()
            session.prepare(len(x))
            offline.append(time.perf_counter() - start)
            start = time.perf_counter()
            session.infer(x)
            online.append(time.perf_counter() - start)
    return offline[1:], online[1:]


def spread(seconds: list[float]) -> dict[str, float]:
    return {"median": median(seconds), "min": min(seconds), "max": max(seconds)}


def peak_memory(pid: int) -> int | None:
    """Bytes; None where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)


def native() -> bool:
    from circa.protocols import kernels

    return kernels.native() is not None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=["mnist_b", "resnet20", "resnet32", "resnet18_cifar"])
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--relu", default="table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.networks:
        print(json.dumps(measure(name, arguments.images, arguments.repeats, arguments.relu)), flush=True)


if __name__ == "__main__":
    main()
