"""A network of `plan.py` as CrypTen runs it. Imported by crypten_relu.py, in CrypTen's environment.

The weights are encrypted from party 1, the input is party 0's.
"""

import json
import math
from collections.abc import Callable
from typing import Any

OWNER = 1


def load(crypten: Any, path: str) -> Callable[[Any], Any]:
    """The function from the encrypted input to the encrypted logits; encrypts the weights."""
    import numpy as np
    import torch

    with np.load(path) as file:
        steps = json.loads(str(file["steps"]))
        weights = {
            name: crypten.cryptensor(torch.from_numpy(file[name]), src=OWNER)
            for name in file.files
            if name != "steps"
        }

    def network(x: Any) -> Any:
        values: list[Any] = []
        for i, (kind, inputs, options) in enumerate(steps):
            operands = [x] if kind == "input" else [values[j] for j in inputs]
            given = weights.get(f"{i}.weight"), weights.get(f"{i}.bias")
            values.append(layer(crypten, kind, operands, options, *given))
        return values[-1]

    return network


def layer(
    crypten: Any, kind: str, operands: list[Any], options: dict[str, Any], weight: Any, bias: Any
) -> Any:
    v = operands[0]
    match kind:
        case "input":
            return v
        case "conv":
            top, bottom, left, right = options["padding"]
            padded = v.pad((left, right, top, bottom)) if any(options["padding"]) else v
            stride = tuple(options["stride"])
            return padded.conv2d(weight, stride=stride, groups=options["groups"]) + bias.view(1, -1, 1, 1)
        case "dense":
            return v.flatten(start_dim=1).matmul(weight.t()) + bias
        case "relu":
            return v.relu()
        case "pool":
            factor = options["factor"] * math.prod(options["kernel"])
            shape = {name: tuple(options[name]) for name in ("stride", "padding")}
            mean = v.avg_pool2d(tuple(options["kernel"]), **shape)
            return mean if factor == 1 else mean * factor
        case "pad":
            pairs = list(zip(options["padding"][::2], options["padding"][1::2], strict=True))
            return v.pad([count for pair in reversed(pairs) for count in pair])
        case "slice":
            bounds = zip(options["start"], options["stop"], options["step"], strict=True)
            return v[(slice(None), *(slice(*bound) for bound in bounds))]
        case "reshape":
            return v.reshape(v.shape[0], *options["shape"])
        case "add":
            total = None
            for operand, factor in zip(operands, options["factors"], strict=True):
                term = operand if factor == 1 else operand * factor
                total = term if total is None else total + term
            return total
        case "concat":
            return crypten.cat(operands, options["dim"] + 1)
    raise ValueError(f"no layer of kind {kind}")
