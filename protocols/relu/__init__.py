"""ReLU protocols behind one interface, by name.

    table       window sign test by 1-of-N OT, select with exact rescale (design.md 5): the default
    rescale     no sign test: floor(z / 2^f) alone
    delphi      the whole ReLU in a garbled circuit [MLSZP20]: the baseline, exact
    circa-sign, circa-stochastic, circa    [GJRG21] a garbled sign test, exact, stochastic, or stochastic
                without its low bits, and one Beaver triple
    window-garbled    the window sign test in a garbled circuit of n - 1 ANDs, the select of `table`

A name selects the same protocol at both parties; it is part of the public description of a model.
"""

from ..errors import ParameterError
from ..shares import PRIME31, RING32, Modulus
from .activation import MAX_SHIFT, Activation, Cost, Material, Phase, Relu

__all__ = [
    "MAX_SHIFT",
    "NAMES",
    "WINDOWED",
    "Activation",
    "Cost",
    "Material",
    "Phase",
    "Relu",
    "by_name",
    "modulus_for",
]

NAMES = ("table", "rescale", "delphi", "circa-sign", "circa-stochastic", "circa", "window-garbled")
WINDOWED = ("table", "window-garbled")  # with a window; the published ones truncate
_RING = ("rescale", *WINDOWED)


def modulus_for(name: str) -> Modulus:
    """The modulus that a protocol is meant for: the prime for the published ones, the ring for ours."""
    _check(name)
    return RING32 if name in _RING else PRIME31


def by_name(name: str) -> Relu:
    """The protocol of that name; raises ParameterError, listing the names, for another one."""
    _check(name)
    from .circa import Circa  # here: describing a layer loads no cryptography
    from .delphi import Delphi
    from .published import Exact, Stochastic, Truncated
    from .rescale import Rescale
    from .table import Table
    from .window_garbled import WindowGarbled

    protocols: tuple[Relu, ...] = (
        Table(),
        Rescale(),
        Delphi(),
        Circa("circa-sign", Exact()),
        Circa("circa-stochastic", Stochastic()),
        Circa("circa", Truncated()),
        WindowGarbled(),
    )
    return {protocol.name: protocol for protocol in protocols}[name]


def _check(name: str) -> None:
    if name not in NAMES:
        raise ParameterError(f"unknown ReLU protocol {name!r}; protocols: {', '.join(NAMES)}")
