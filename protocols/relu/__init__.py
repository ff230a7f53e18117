"""ReLU protocols behind one interface, by name.

    table       window sign test by 1-of-N OT, select with exact rescale (design.md 5): the default
    rescale     no sign test: floor(z / 2^f) alone

A name selects the same protocol at both parties; it is part of the public description of a model.
"""

from ..errors import ParameterError
from .activation import MAX_SHIFT, Activation, Cost, Material, Phase, Relu

__all__ = ["MAX_SHIFT", "NAMES", "Activation", "Cost", "Material", "Phase", "Relu", "by_name"]

NAMES = ("table", "rescale")


def by_name(name: str) -> Relu:
    """The protocol of that name; raises ParameterError, listing the names, for another one."""
    if name not in NAMES:
        raise ParameterError(f"unknown ReLU protocol {name!r}; protocols: {', '.join(NAMES)}")
    from .rescale import Rescale  # here: describing a layer loads no cryptography
    from .table import Table

    protocols: dict[str, Relu] = {"table": Table(), "rescale": Rescale()}
    return protocols[name]
