"""A network of `plan.py` in JAX, for SPU to run. Imported by spu_relu.py, in SPU's environment."""

import json
from collections.abc import Callable
from typing import Any


def load(path: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function of the input and the weights, in the order of the dict, which it is called with."""
    import numpy as np

    with np.load(path) as file:
        steps = json.loads(str(file["steps"]))
        weights = {f"w{name}": file[name] for name in file.files if name != "steps"}

    def network(x: Any, *given: Any) -> Any:
        named = dict(zip(weights, given, strict=True))
        values: list[Any] = []
        for i, (kind, inputs, options) in enumerate(steps):
            operands = [x] if kind == "input" else [values[j] for j in inputs]
            values.append(layer(kind, operands, options, named.get(f"w{i}.weight"), named.get(f"w{i}.bias")))
        return values[-1]

    return network, weights


def layer(kind: str, operands: list[Any], options: dict[str, Any], weight: Any, bias: Any) -> Any:
    import jax
    import jax.numpy as jnp

    v = operands[0]
    match kind:
        case "input":
            return v
        case "conv":
            top, bottom, left, right = options["padding"]
            result = jax.lax.conv_general_dilated(
                v,
                weight,
                options["stride"],
                ((top, bottom), (left, right)),
                feature_group_count=options["groups"],
            )
            return result + bias[None, :, None, None]
        case "dense":
            return v.reshape(v.shape[0], -1) @ weight.T + bias
        case "relu":
            return jnp.maximum(v, 0)
        case "pool":
            windows = ((1, 1, *options[name]) for name in ("kernel", "stride"))
            around = ((0, 0), (0, 0), *((p, p) for p in options["padding"]))
            return jax.lax.reduce_window(v, 0.0, jax.lax.add, *windows, around) * options["factor"]
        case "pad":
            pairs = zip(options["padding"][::2], options["padding"][1::2], strict=True)
            return jnp.pad(v, ((0, 0), *pairs))
        case "slice":
            bounds = zip(options["start"], options["stop"], options["step"], strict=True)
            return v[(slice(None), *(slice(*bound) for bound in bounds))]
        case "reshape":
            return v.reshape(v.shape[0], *options["shape"])
        case "add":
            terms = zip(operands, options["factors"], strict=True)
            return sum(operand if factor == 1 else operand * factor for operand, factor in terms)
        case "concat":
            return jnp.concatenate(operands, options["dim"] + 1)
    raise ValueError(f"no layer of kind {kind}")
