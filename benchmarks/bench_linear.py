"""Linear layers: CPU seconds of both parties, bytes, the ratio to the prototype; engine beside engine.

    python benchmarks/bench_linear.py [--repeats 5] [--prototype ../shared/reference/linear_he] [--engines]

One JSON line for each layer, batch and parameter set: medians over the repeats, one thread. `sender_seconds`
leaves out the preparation of the weights, which `prepare_seconds` is. The prototype runs beside, in one go.
`--engines` measures instead what one polynomial costs in SEAL and in the native kernels, in turns.
"""

import argparse
import importlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from circa.protocols.channel import memory_pair
from circa.protocols.linear.backend import ReceiverBackend, SenderBackend
from circa.protocols.linear.cost import cost
from circa.protocols.linear.he import LinearReceiver, LinearSender
from circa.protocols.linear.native_receiver import NativeReceiver
from circa.protocols.linear.native_sender import NativeSender
from circa.protocols.linear.parameters import parameter_set
from circa.protocols.linear.plan import make_plan
from circa.protocols.linear.seal_receiver import SealReceiver
from circa.protocols.linear.seal_sender import SealSender
from circa.protocols.linear.shape import LinearShape
from circa.protocols.linear.weights import WeightCache
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31, RING32, Modulus

PAD = {"kernel": (3, 3), "padding": (1, 1, 1, 1)}
LAYERS = [
    ("conv 64-64 3x3, 8x8", LinearShape(64, 8, 8, 64, **PAD)),
    ("conv 64-64 3x3, 16x16", LinearShape(64, 16, 16, 64, **PAD)),
    ("conv 64-64 3x3, 32x32", LinearShape(64, 32, 32, 64, **PAD)),
    ("fc 512x100", LinearShape.fully_connected(512, 100)),
]
BATCHED = [("conv 64-64 3x3, 8x8", LAYERS[0][1]), ("fc 512x100", LAYERS[3][1])]
MODULI = {"prime31": PRIME31, "ring32": RING32}


def measure(
    shape: LinearShape, batch: int, modulus_name: str, parameters: str, repeats: int
) -> dict[str, Any]:
    """Run a layer `repeats` times over an in-memory channel; both parties in turn, on this thread."""
    modulus, clock = MODULI[modulus_name], time.thread_time
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, shape.weight_shape)
    r = modulus.uniform(Prg(bytes(16)), (batch, *shape.input_shape))
    left, right = memory_pair()
    sender, receiver = LinearSender(modulus, Prg.from_os(), parameters), LinearReceiver(modulus, parameters)
    receiver.setup(right)
    sender.setup(left)
    plan = make_plan(shape, batch, parameter_set(parameters))
    times: dict[str, list[float]] = {"receiver": [], "sender": [], "prepare": []}
    for _ in range(repeats):
        start = clock()
        prepared = sender.prepare(modulus, shape, weights, parameters, WeightCache(1 << 40))
        for output_block in range(plan.output_blocks):
            prepared.row(plan, output_block)
        times["prepare"].append(clock() - start)
        start = clock()
        receiver.request(right, shape, r)
        encrypted = clock() - start
        start = clock()
        sender.respond(left, prepared, batch)
        times["sender"].append(clock() - start)
        start = clock()
        receiver.receive(right, shape, batch)
        times["receiver"].append(encrypted + clock() - start)
    expected = cost(shape, batch, parameters)
    return {
        "batch": batch,
        "modulus": modulus_name,
        "parameters": parameters,
        **{f"{name}_seconds": round(statistics.median(values), 5) for name, values in times.items()},
        "spread": round(max(max(v) / min(v) for v in times.values()), 2),
        "bytes_up": expected.bytes_up,
        "bytes_down": expected.bytes_down,
        "requests": expected.messages_up,
        "responses": expected.messages_down,
        "products": expected.products,
    }


def measure_prototype(
    folder: Path, shape: LinearShape, modulus_name: str, parameters: str, repeats: int
) -> Any:
    """The prototype's times (receiver, sender without preparation, preparation) and bytes of a layer."""
    sys.path.insert(0, str(folder))
    try:
        protocol: Any = importlib.import_module("protocol")
        ring = protocol.make_ring(parameters, MODULI[modulus_name].value)
        pad = shape.padding[0]
        sizes = (shape.in_channels, shape.height, shape.width, shape.out_channels, shape.kernel[0])
        chosen = protocol.choose(ring, *sizes, pad, shape.stride[0])
        found = protocol.run(ring, chosen, 8, reps=repeats, quiet=True)
    finally:
        sys.path.remove(str(folder))
    return {
        "receiver_seconds": round(found["client"], 5),
        "sender_seconds": round(found["server"] - found["prep"], 5),
        "prepare_seconds": round(found["prep"], 5),
        "bytes_up": found["up"],
        "bytes_down": found["down"],
    }


def measure_engines(parameters_name: str, modulus_name: str, repeats: int) -> dict[str, Any]:
    """Microseconds of CPU of each step for one polynomial, SEAL's and the kernels', and their ratio.

    `product` is one weight polynomial's part of a response, `response` the rest, with 1,000 outputs.
    """
    parameters, modulus = parameter_set(parameters_name), MODULI[modulus_name]
    times: dict[str, dict[str, list[float]]] = {}
    pairs = [
        (name, sender(parameters, modulus.value), receiver(parameters, modulus.value))
        for name, sender, receiver in (
            ("seal", SealSender, SealReceiver),
            ("native", NativeSender, NativeReceiver),
        )
    ]
    for _ in range(repeats):
        for name, sender, receiver in pairs:
            found = time_engine(sender, receiver, modulus, parameters.degree)
            for step, seconds in found.items():
                times.setdefault(name, {}).setdefault(step, []).append(seconds)
    line: dict[str, Any] = {
        name: {step: round(1e6 * statistics.median(values), 1) for step, values in steps.items()}
        for name, steps in times.items()
    }
    line["ratio"] = {step: round(line["seal"][step] / us, 1) for step, us in line["native"].items()}
    return {"parameters": parameters_name, "modulus": modulus_name, "microseconds": line}


def time_engine(
    sender: SenderBackend, receiver: ReceiverBackend, modulus: Modulus, degree: int, count: int = 16
) -> dict[str, float]:
    """Seconds of each step, over `count` polynomials."""
    prg, clock = Prg.from_os(), time.thread_time
    values = modulus.uniform(prg, degree).astype(np.uint64)
    weights = np.random.default_rng(0).integers(-128, 128, (count, degree))
    positions, mask = np.arange(1000), modulus.uniform(prg, 1000)
    marks = [clock()]
    messages = [receiver.encrypt(values) for _ in range(count)]
    marks.append(clock())
    requests = [sender.request(message) for message in messages]
    marks.append(clock())
    row = [(i, sender.factor(polynomial)) for i, polynomial in enumerate(weights)]
    marks.append(clock())
    bare = [sender.respond(requests[0], requests, [], positions, mask, prg) for _ in range(count)]
    marks.append(clock())
    sender.respond(requests[0], requests, row, positions, mask, prg)
    marks.append(clock())
    for response in bare:
        receiver.decrypt(response, positions)
    marks.append(clock())
    encrypt, request, factor, response, whole, decrypt = (np.diff(marks) / count).tolist()
    found = {"encrypt": encrypt, "request": request, "factor": factor, "response": response}
    return found | {"product": whole - response / count, "decrypt": decrypt}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--prototype", type=Path, default=Path("../shared/reference/linear_he"))
    parser.add_argument("--engines", action="store_true")
    arguments = parser.parse_args()
    if arguments.engines:
        for parameters in ("B4096", "A8192"):
            print(json.dumps(measure_engines(parameters, "ring32", arguments.repeats)), flush=True)
        return
    for parameters, modulus_name in (("B4096", "prime31"), ("B4096", "ring32"), ("A8192", "prime31")):
        for name, shape in LAYERS:
            line: dict[str, Any] = {"layer": name}
            line |= measure(shape, 1, modulus_name, parameters, arguments.repeats)
            if (arguments.prototype / "protocol.py").exists():
                theirs = measure_prototype(
                    arguments.prototype, shape, modulus_name, parameters, arguments.repeats
                )
                line["prototype"] = theirs
                line["ratio"] = {key: round(line[key] / theirs[key], 2) for key in theirs}
            print(json.dumps(line), flush=True)
    for name, shape in BATCHED:
        print(
            json.dumps({"layer": name} | measure(shape, 64, "ring32", "B4096", arguments.repeats)), flush=True
        )


if __name__ == "__main__":
    main()
