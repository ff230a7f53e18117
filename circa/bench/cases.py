"""What `circa bench relu` measures: one case for each protocol and each value of its parameter.

    protocol            parameter                      fault mode
    delphi              none: exact                    -
    circa-sign          none: exact                    -
    circa-stochastic    none: k = 0                    poszero
    circa               k, the truncated bits          poszero
    table               n, the bits of the window      balanced
    window-garbled      n                              balanced

Everything is checked here, before a thread, a process or a message exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from circa.protocols import relu
from circa.protocols.errors import ParameterError
from circa.protocols.garbling.circuit import Circuit
from circa.protocols.shares import Modulus
from circa.protocols.sign.window import MAX_BITS, MIN_BITS, Window

from .inputs import LIMIT

__all__ = ["MAX_ELEMENTS", "MAX_REPEATS", "RELUS", "Case", "check", "grid"]

MAX_ELEMENTS = 1 << 20  # one layer at once: Delphi's tables for these take 8 GB
MAX_REPEATS = 1000

RELUS = ("delphi", "circa-sign", "circa-stochastic", "circa", "window-garbled", "table")
_WINDOWED = {"table": 8, "window-garbled": MAX_BITS}  # with the largest n of each
_TRUNCATED = ("circa",)
_EXACT = ("delphi", "circa-sign", "rescale")


@dataclass(frozen=True)
class Case:
    """One protocol with its parameter, on `elements` ReLUs that rescale by `shift` bits."""

    protocol: str
    elements: int
    shift: int = 0
    k: int | None = None
    n: int | None = None

    @property
    def modulus(self) -> Modulus:
        return relu.modulus_for(self.protocol)

    @property
    def mode(self) -> str | None:
        """On which side of zero faults fall; None for an exact protocol."""
        if self.protocol in _EXACT:
            return None
        return "poszero" if self.n is None else "balanced"

    @property
    def label(self) -> str:
        parameter = f" k={self.k}" if self.k else f" n={self.n}" if self.n is not None else ""
        return self.protocol + parameter

    def activation(self) -> relu.Activation:
        """One channel that holds every element; the window just covers `inputs.LIMIT`."""
        window = None
        if self.n is not None:
            gain = ((1 << 31) - (1 << (32 - self.n)) - 1) // LIMIT
            window = Window(self.n, (gain,), "balanced")
        return relu.Activation(
            self.modulus,
            channels=1,
            positions=self.elements,
            shift=self.shift,
            window=window,
            truncate_bits=self.k or 0,
            mode="poszero",
        )

    def circuit(self) -> Circuit | None:
        """What it garbles; None for a protocol without garbled circuit."""
        from circa.protocols.garbling import relu_circuits as circuits

        modulus = self.modulus
        match self.protocol:
            case "delphi":
                return circuits.delphi_relu(modulus, self.shift)
            case "circa-sign":
                return circuits.exact_sign(modulus)
            case "circa-stochastic" | "circa":
                return circuits.stochastic_sign(modulus, self.k or 0, "poszero")
            case "window-garbled":
                assert self.n is not None
                return circuits.window_sign(self.n)
            case _:
                return None

    def to_dict(self) -> dict[str, Any]:
        return {
            "protocol": self.protocol,
            "elements": self.elements,
            "shift": self.shift,
            "k": self.k,
            "n": self.n,
        }


def grid(
    protocols: Sequence[str] = RELUS,
    elements: int = 1 << 16,
    bits: Sequence[int] = (4, 5, 6, 8),
    truncate: Sequence[int] = (12, 17),
    shifts: Sequence[int] = (0,),
) -> list[Case]:
    """Every case, in the order of the names. Raises ParameterError with the value and the allowed range.

    A window that is too wide for a table is one of `window-garbled` alone, if that is measured.
    """
    for name in protocols:
        if name not in relu.NAMES:
            raise ParameterError(f"unknown ReLU protocol '{name}'; protocols: {', '.join(relu.NAMES)}")
    check("elements", elements, 1, MAX_ELEMENTS)
    widest = max((_WINDOWED[name] for name in protocols if name in _WINDOWED), default=MAX_BITS)
    for n in bits:
        check("window bits n", n, MIN_BITS, widest)
    for f in shifts:
        check("shift", f, 0, relu.MAX_SHIFT)
    cases = []
    for f in dict.fromkeys(shifts):
        for name in dict.fromkeys(protocols):
            if name in _WINDOWED:
                cases += [Case(name, elements, f, n=n) for n in dict.fromkeys(bits) if n <= _WINDOWED[name]]
            elif name in _TRUNCATED:
                top = relu.modulus_for(name).bits - 2
                for k in truncate:
                    check("truncated bits k", k, 1, top)
                cases += [Case(name, elements, f, k=k) for k in dict.fromkeys(truncate)]
            else:
                none = 0 if name == "circa-stochastic" else None
                cases.append(Case(name, elements, f, k=none))
    for case in cases:
        relu.by_name(case.protocol).cost(case.activation(), 1)  # the protocol's own limits
    return cases


def check(what: str, value: int, low: int, high: int) -> None:
    """Raises ParameterError where low <= value <= high does not hold."""
    if not low <= value <= high:
        raise ParameterError(f"{what} = {value} is outside {low} to {high}")
