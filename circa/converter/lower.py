"""From ATen operations to the network of `graph.py`. What does not convert is collected and reported all
at once.
"""

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind

from circa.errors import ConversionError

from .advice import advice
from .capture import BATCH
from .graph import Node, Source
from .rules import RULES
from .rules_shape import BATCH_REMEDY
from .site import Site, Unsupported

__all__ = ["lower"]


@dataclass(frozen=True)
class Failed:
    """The value of an operation that did not convert, where what reads it cannot be looked at either."""


def lower(exported: ExportedProgram) -> Node:
    """The network's output node.

    Raises ConversionError listing every operation that does not convert: path, reason, remedy.
    """
    values: dict[fx.Node, Any] = constants(exported)
    problems: list[str] = []
    names = Names()
    inputs = exported.graph_signature.user_inputs
    for node in exported.graph.nodes:
        if node.op == "placeholder":
            if node.name in inputs:
                values[node] = Source("input", [], tuple(node.meta["val"].shape[1:]))
        elif node.op == "output":
            # An input or buffer that is changed in place is an output too.
            specs = zip(exported.graph_signature.output_specs, node.args[0], strict=True)
            return finish(values, [r for spec, r in specs if spec.kind is OutputKind.USER_OUTPUT], problems)
        else:
            value = convert_one(node, values, names, problems)
            values[node] = value
            if isinstance(value, Node):
                value.traced = node.name
    raise ConversionError("the traced model has no output")


def convert_one(node: fx.Node, values: dict[fx.Node, Any], names: "Names", problems: list[str]) -> Any:
    """The node, constant or tuple that a traced operation gives, or Failed."""
    args: Any = fx.map_arg(node.args, lambda n: values[n])
    kwargs: Any = fx.map_arg(node.kwargs, lambda n: values[n])
    leaves = [values[n] for n in node.all_input_nodes]
    if any(isinstance(v, Failed) for v in leaves):
        return Failed()
    if not node.users:
        return None  # an assertion about the trace
    path = names.path(node)
    try:
        if node.target is operator.getitem:
            return one_result(args[0], args[1])
        if node.op != "call_function":
            raise Unsupported(f"{node.op} in the traced graph", "use plain PyTorch operations")
        if not any(isinstance(v, Node | tuple) for v in leaves):
            return fold_constants(node, args, kwargs)
        result = node.meta.get("val")
        results = result if isinstance(result, list | tuple) else [result]
        shapes = [tuple(t.shape) for t in results if t is not None and tuple(t.shape) != (0,)]
        if any(not isinstance(n, int) for s in shapes for n in s):
            raise Unsupported("a shape depends on the input's values", "use sizes that are known beforehand")
        rule = RULES.get(node.target)
        if rule is None:
            raise Unsupported(*advice(str(node.target)))
        if any(not s or s[0] != BATCH for s in shapes):
            raise Unsupported(f"the result {shapes[0]} mixes the images of a batch", BATCH_REMEDY)
        return rule(Site(names.unique(path), shapes[0][1:]), *args, **kwargs)
    except Unsupported as error:
        problems.append(f"  {path} ({operation(node)}): {error.reason}; {error.remedy}")
        return stand_in(path, node.meta.get("val"))


def stand_in(path: str, value: Any) -> Any:
    """A value in the place of one that did not convert, so that problems behind it are found as well."""
    if isinstance(value, list | tuple):
        return tuple(stand_in(path, part) for part in value)
    if not isinstance(value, Tensor) or value.dtype is not torch.float32:
        return Failed()
    images = value.ndim > 0 and all(isinstance(n, int) for n in value.shape) and value.shape[0] == BATCH
    return Source(path, [], tuple(value.shape[1:])) if images else Failed()


def one_result(values: Any, index: int) -> Any:
    """Of an operation with several results; a rule may know the first ones only."""
    values = values if isinstance(values, tuple) else (values,)
    if not index < len(values):
        raise Unsupported("another result than the values, indices say", "use the values alone")
    return values[index]


def fold_constants(node: fx.Node, args: Any, kwargs: Any) -> Any:
    """What does not depend on the input is computed now."""
    if "rand" in str(node.target) or "bernoulli" in str(node.target):
        raise Unsupported("randomness in eval mode", "make it a buffer, or guard it by self.training")
    with torch.no_grad():
        target: Any = node.target
        return target(*args, **kwargs)


def constants(exported: ExportedProgram) -> dict[fx.Node, Any]:
    """Parameters, buffers and constant tensors by their placeholder."""
    signature = exported.graph_signature
    held: dict[fx.Node, Any] = {}
    for node in exported.graph.nodes:
        if node.op != "placeholder":
            continue
        if (name := signature.inputs_to_parameters.get(node.name)) is not None:
            held[node] = exported.state_dict[name].detach()
        elif (name := signature.inputs_to_buffers.get(node.name)) is not None:
            held[node] = (exported.state_dict if name in exported.state_dict else exported.constants)[name]
        elif (name := signature.inputs_to_lifted_tensor_constants.get(node.name)) is not None:
            held[node] = exported.constants[name]
    return held


def finish(values: dict[fx.Node, Any], results: Any, problems: list[str]) -> Node:
    outputs = [values[r] if isinstance(r, fx.Node) else r for r in results]
    if problems:
        raise ConversionError("the model has parts that do not convert:\n" + "\n".join(problems))
    if len(outputs) != 1 or not isinstance(outputs[0], Node) or isinstance(outputs[0], Source):
        raise ConversionError("the model must return one tensor that it computes from its input")
    output: Node = outputs[0]
    return output


def operation(node: fx.Node) -> str:
    return str(node.target).removeprefix("aten.").split(".")[0].strip("_")


class Names:
    """Module paths for operations: `layer1.0.conv1`, or `layer1.0.relu` for a functional form; unique."""

    def __init__(self) -> None:
        self.used: set[str] = {"input"}

    def path(self, node: fx.Node) -> str:
        stack = list(node.meta.get("nn_module_stack", {}).values())
        path, kind = stack[-1] if stack else ("", "")
        leaf = str(getattr(kind, "__module__", kind)).startswith("torch.nn.modules") and path
        return str(path) if leaf else f"{path}.{operation(node)}".lstrip(".")

    def unique(self, path: str) -> str:
        name, i = path, 1
        while name in self.used:
            i += 1
            name = f"{path}_{i}"
        self.used.add(name)
        return name
