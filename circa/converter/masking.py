"""Masks of activations, from the model itself or by name: which elements keep their sign test
(circa/masks.py).

    m * act(z)                    zero: the others cost nothing
    act(m * z)                    the same
    m * act(z) + (1 - m) * z      identity: the others are only rescaled; also as torch.where(m, act(z), z)
    m * act(z) + (1 - m) * p(z)   zero, and a local multiplication of p(z), a square say, by 1 - m

m is a constant of zeros and ones, of any shape that broadcasts.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from circa.errors import ParameterError
from circa.masks import OTHERS

from .graph import Activate, Add, Node, Select, consumers, rewire, topological
from .site import Unsupported, broadcasts, per_channel

__all__ = ["apply_masks", "merge_masks"]


Readers = dict[Node, list[Node]]


def merge_masks(output: Node) -> Node:
    """The same network with the masks in its activations. Nodes are changed in place.

    A mask on anything else stays a local operation: zeros and ones are public.
    """
    for step in (all_kept, before_activation, without_zeros, kept_or_not, alone, as_factors):
        nodes = topological(output)
        readers = consumers(nodes)
        for node in nodes:
            merged = step(node, readers)
            if merged is not None:
                rewire(topological(output), node, merged)
                output = merged if node is output else output
                readers = consumers(topological(output))
    return output


def all_kept(node: Node, readers: Readers) -> Node | None:
    """A mask of ones."""
    return node.inputs[0] if isinstance(node, Select) and bool(node.mask.all()) else None


def before_activation(node: Node, readers: Readers) -> Node | None:
    """a(m z) as m a(z), where a(0) = 0."""
    select = node.inputs[0] if isinstance(node, Activate) and node.mask is None else None
    if not isinstance(node, Activate) or not isinstance(select, Select):
        return None
    if sum(c * max(-t, 0.0) for t, c in zip(node.knots, node.coefs, strict=True)):
        return None
    return replace(node, inputs=select.inputs, mask=select.mask, others="zero")


def without_zeros(node: Node, readers: Readers) -> Node | None:
    """The operand of a sum whose other operand a mask drops whole: a layer keeps all its ReLUs, or none."""
    if not isinstance(node, Add) or len(node.inputs) != 2 or node.signs != (1, 1):
        return None
    for x, other in (node.inputs, node.inputs[::-1]):
        if isinstance(other, Select) and not other.mask.any():
            return x
    return None


def kept_or_not(node: Node, readers: Readers) -> Node | None:
    """The activation a of Add(Select(m, a(z)), Select(not m, z)), now with the mask m."""
    if not isinstance(node, Add) or len(node.inputs) != 2 or node.signs != (1, 1):
        return None
    for kept, rest in (node.inputs, node.inputs[::-1]):
        if not isinstance(kept, Select) or not isinstance(rest, Select):
            continue
        activation = plain(kept, readers)
        if activation and rest.inputs[0] is activation.inputs[0] and torch.equal(rest.mask, ~kept.mask):
            activation.mask, activation.others, activation.traced = kept.mask, "identity", node.traced
            return activation
    return None


def alone(node: Node, readers: Readers) -> Node | None:
    """The activation a of Select(m, a(z)), now with the mask m."""
    if not isinstance(node, Select) or (activation := plain(node, readers)) is None:
        return None
    activation.mask, activation.others, activation.traced = node.mask, "zero", node.traced
    return activation


def plain(select: Select, readers: Readers) -> Activate | None:
    """The activation under a Select, if nothing else reads it and it has no mask yet."""
    x = select.inputs[0]
    return x if isinstance(x, Activate) and x.mask is None and len(readers[x]) == 1 else None


def as_factors(node: Node, readers: Readers) -> Node | None:
    """What keeps or drops whole channels is a factor for each of them, which a linear layer may absorb."""
    if not isinstance(node, Select):
        return None
    try:
        factors = broadcasts(node.mask.double(), node)
        channels = per_channel(node.name, node.inputs[0], factors, torch.zeros(1))
    except Unsupported:
        return None
    channels.traced = node.traced
    return channels


def apply_masks(output: Node, masks: Mapping[str, Tensor], others: str) -> Node:
    """Masks by the name of their activation, True where the sign test stays. Nodes are changed in place.

    Raises ParameterError for a name that is no activation, a mask of another shape or with other values than
    zeros and ones, and for `others` that is neither "identity" nor "zero".
    """
    if others not in OTHERS:
        raise ParameterError(f"what a mask drops becomes {' or '.join(OTHERS)}, not {others!r}")
    if not isinstance(masks, Mapping):
        raise ParameterError(f"masks are tensors by the name of an activation, not a {type(masks).__name__}")
    nodes = topological(output)
    activations = {node.name: node for node in nodes if isinstance(node, Activate)}
    for name, mask in masks.items():
        if name not in activations:
            raise ParameterError(
                f"no activation {name!r} to mask: {', '.join(activations) or 'there are none'}"
            )
        node = activations[name]
        node.mask, node.others, node.traced = zeros_and_ones(name, mask, node.shape), others, ""
        for after in nodes[nodes.index(node) :]:
            after.traced = ""  # the network is another one from here on
    return drop_trivial(output)


def zeros_and_ones(name: str, mask: object, shape: tuple[int, ...]) -> Tensor:
    """A user's mask as booleans of the activation's shape."""
    try:
        given = torch.as_tensor(mask)
    except (TypeError, ValueError, RuntimeError):
        raise ParameterError(
            f"{name}: a mask is a tensor of zeros and ones, not a {type(mask).__name__}"
        ) from None
    try:
        given = given.expand(shape)
    except RuntimeError:
        raise ParameterError(
            f"{name}: a mask of shape {tuple(given.shape)} for values of shape {shape}"
        ) from None
    if not bool(((given == 0) | (given == 1)).all()):
        raise ParameterError(f"{name}: a mask holds zeros and ones")
    return given.bool()


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
