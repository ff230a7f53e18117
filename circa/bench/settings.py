"""What a reader needs to judge a measured inference: machine, line, and everything that security rests on."""

from dataclasses import asdict
from typing import Any

from circa.network import Network
from circa.program import Program
from circa.protocols.linear.noise import MARGIN
from circa.protocols.linear.parameters import parameter_set
from circa.protocols.ot import KAPPA

from . import environment

__all__ = ["settings"]


def settings(program: Program, line: Network, images: int, repeat: int) -> dict[str, Any]:
    """The environment of `environment.describe`, and the settings of one row."""
    windows = {op.window.bits for op in program.activations if op.window is not None}
    sets = sorted({op.parameters for op in program.linear})
    return {
        **environment.describe(),
        "images": images,
        "repeat": repeat,
        "relus": program.relus * images,
        "link": {**asdict(line), "emulated": line.name != "loopback"},
        "modulus": str(program.modulus.value),
        "relu": program.relu,
        "window_bits": sorted(windows),
        "truncate_bits": sorted({op.truncate_bits for op in program.activations}),
        "security": {
            "model": "semi-honest, no dealer",
            "kappa": KAPPA,
            "statistical": MARGIN,
            "ot": {"extension": "SoftSpoken"},  # and k, which the client chooses by the line
            "he": [{"name": name, **_he(name)} for name in sets],
        },
    }


def _he(name: str) -> dict[str, Any]:
    chosen = parameter_set(name)
    return {"scheme": "BFV", "degree": chosen.degree, "data_bits": list(chosen.data_bits)}
