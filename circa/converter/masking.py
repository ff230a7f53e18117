"""Masks of activations, from the model itself or by name: which elements keep their sign test
(circa/masks.py).

    m * act(z)                    zero: the others cost nothing
    m * act(z) + (1 - m) * z      identity: the others are only rescaled; also as torch.where(m, act(z), z)

m is a constant of zeros and ones, of any shape that broadcasts.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from circa.errors import ConversionError, ParameterError
from circa.masks import OTHERS

from .graph import Activate, Add, Node, Select, consumers, rewire, topological
from .site import Unsupported, broadcasts, per_channel

__all__ = ["apply_masks", "merge_masks"]


def merge_masks(output: Node) -> Node:
    """The same network with every Select merged into its activation. Nodes are changed in place.

    Raises ConversionError listing the masks that are on something else.
    """
    for node in topological(output):
        if isinstance(node, Add) and (rest := without_zeros(node)):
            rewire(topological(output), node, rest)
            output = rest if node is output else output
    for node in topological(output):
        if isinstance(node, Add) and (activation := kept_or_not(node, consumers(topological(output)))):
            rewire(topological(output), node, activation)
            activation.traced = node.traced
            output = activation if node is output else output
    for node in topological(output):
        if isinstance(node, Select) and (activation := alone(node, consumers(topological(output)))):
            activation.mask, activation.others, activation.traced = node.mask, "zero", node.traced
            rewire(topological(output), node, activation)
            output = activation if node is output else output
    for node in topological(output):
        if isinstance(node, Select) and (factors := as_factors(node)):
            rewire(topological(output), node, factors)
            factors.traced = node.traced
            output = factors if node is output else output
    stray = [node.name for node in topological(output) if isinstance(node, Select)]
    if stray:
        raise ConversionError(
            "a mask is on something else than an activation: "
            + ", ".join(stray)
            + "; write m * act(z) or m * act(z) + (1 - m) * z, and read act(z) nowhere else"
        )
    return output


def without_zeros(node: Add) -> Node | None:
    """The operand of a sum whose other operand a mask drops whole: a layer keeps all its ReLUs, or none."""
    if len(node.inputs) != 2 or node.signs != (1, 1):
        return None
    for x, other in (node.inputs, node.inputs[::-1]):
        if isinstance(other, Select) and not other.mask.any():
            return x
    return None


def as_factors(node: Select) -> Node | None:
    """What keeps or drops whole channels of any other value is a factor for each of them."""
    try:
        factors = broadcasts(node.mask.double(), node)
        return per_channel(node.name, node.inputs[0], factors, torch.zeros(1))
    except Unsupported:
        return None


def alone(node: Node, readers: dict[Node, list[Node]]) -> Activate | None:
    """The activation under a Select, if nothing else reads it and it has no mask yet."""
    before = node.inputs[0]
    plain = isinstance(node, Select) and isinstance(before, Activate) and before.mask is None
    return before if plain and isinstance(before, Activate) and len(readers[before]) == 1 else None


def kept_or_not(node: Add, readers: dict[Node, list[Node]]) -> Activate | None:
    """The activation a of Add(Select(m, a(z)), Select(not m, z)), now with the mask m."""
    for kept, rest in (node.inputs, node.inputs[::-1]) if len(node.inputs) == 2 else ():
        if not isinstance(kept, Select) or not isinstance(rest, Select) or node.signs != (1, 1):
            continue
        activation = alone(kept, readers)
        if activation and rest.inputs[0] is activation.inputs[0] and torch.equal(rest.mask, ~kept.mask):
            activation.mask, activation.others = kept.mask, "identity"
            return activation
    return None


def apply_masks(output: Node, masks: Mapping[str, Tensor], others: str) -> Node:
    """Masks by the name of their activation, True where the sign test stays. Nodes are changed in place.

    Raises ParameterError for a name that is no activation, a mask of another shape or with other values than
    zeros and ones, and for `others` that is neither "identity" nor "zero".
    """
    if others not in OTHERS:
        raise ParameterError(f"what a mask drops becomes {' or '.join(OTHERS)}, not {others!r}")
    nodes = topological(output)
    activations = {node.name: node for node in nodes if isinstance(node, Activate)}
    for name, mask in masks.items():
        if name not in activations:
            raise ParameterError(
                f"no activation {name!r} to mask: {', '.join(activations) or 'there are none'}"
            )
        node = activations[name]
        try:
            node.mask = torch.as_tensor(mask).expand(node.shape)
        except RuntimeError:
            shape = tuple(torch.as_tensor(mask).shape)
            raise ParameterError(
                f"{name}: a mask of shape {shape} for values of shape {node.shape}"
            ) from None
        if not bool(((node.mask == 0) | (node.mask == 1)).all()):
            raise ParameterError(f"{name}: a mask holds zeros and ones")
        node.mask, node.others, node.traced = node.mask.bool(), others, ""
        for after in nodes[nodes.index(node) :]:
            after.traced = ""  # the network is another one from here on
    return drop_trivial(output)


def drop_trivial(output: Node) -> Node:
    """Without masks that keep everything, and without activations that keep nothing and pass the rest."""
    nodes = topological(output)
    for node in nodes:
        if not isinstance(node, Activate) or node.mask is None:
            continue
        if bool(node.mask.all()):
            node.mask = None
        elif not node.mask.any() and node.others == "identity":
            rewire(nodes, node, node.inputs[0])
            output = node.inputs[0] if node is output else output
    return output
