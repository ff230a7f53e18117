"""The sign tests of Circa as garbled circuits: which circuit, on which bits of the two shares.

                 sender's bits      receiver's bits       ANDs mod the prime
    Exact        z_s                z_c                   145
    Stochastic   z_s                t = -z_c mod M        62
    Truncated    z_s >> k           t >> k                62 - k       k and the mode are the activation's

Fault laws: sign/stochastic.py. Circuits, counts block by block: garbling/relu_circuits.py.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..garbling.circuit import Circuit
from ..garbling.plain import to_bits
from ..garbling.relu_circuits import exact_sign, stochastic_sign
from ..sign.stochastic import check_truncation, exact_drelu, threshold, truncated_drelu
from .activation import Activation
from .arithmetic import Residues

__all__ = ["Exact", "SignTest", "Stochastic", "Truncated"]

Bits = NDArray[np.uint8]


class SignTest(Protocol):
    """Shares (batch, elements) to bits (batch, wires, elements) of the circuit that gives DReLU~ - r."""

    def circuit(self, act: Activation) -> Circuit:
        """Raises ParameterError where the activation's parameters are outside the test's range."""
        ...

    def sender_bits(self, act: Activation, z_s: Residues) -> Bits: ...

    def receiver_bits(self, act: Activation, z_c: Residues) -> Bits: ...

    def drelu(self, act: Activation, z_s: Residues, z_c: Residues) -> Bits:
        """The value in the clear; any shape."""
        ...


@dataclass(frozen=True)
class Exact:
    def circuit(self, act: Activation) -> Circuit:
        return exact_sign(act.modulus)

    def sender_bits(self, act: Activation, z_s: Residues) -> Bits:
        return to_bits(z_s, act.modulus.bits)

    def receiver_bits(self, act: Activation, z_c: Residues) -> Bits:
        return to_bits(z_c, act.modulus.bits)

    def drelu(self, act: Activation, z_s: Residues, z_c: Residues) -> Bits:
        return exact_drelu(act.modulus, z_s, z_c)


@dataclass(frozen=True)
class Stochastic:
    """Nothing dropped: k = 0, whatever the activation says."""

    def circuit(self, act: Activation) -> Circuit:
        return stochastic_sign(act.modulus, 0, "poszero")

    def sender_bits(self, act: Activation, z_s: Residues) -> Bits:
        return to_bits(z_s, act.modulus.bits)

    def receiver_bits(self, act: Activation, z_c: Residues) -> Bits:
        return to_bits(threshold(act.modulus, z_c), act.modulus.bits)

    def drelu(self, act: Activation, z_s: Residues, z_c: Residues) -> Bits:
        return truncated_drelu(act.modulus, 0, "poszero", z_s, z_c)


@dataclass(frozen=True)
class Truncated:
    """The activation's `truncate_bits` dropped; faults on the side that its `mode` allows."""

    def circuit(self, act: Activation) -> Circuit:
        check_truncation(act.modulus, act.truncate_bits, act.mode)
        return stochastic_sign(act.modulus, act.truncate_bits, act.mode)

    def sender_bits(self, act: Activation, z_s: Residues) -> Bits:
        return _top_bits(act, z_s)

    def receiver_bits(self, act: Activation, z_c: Residues) -> Bits:
        return _top_bits(act, threshold(act.modulus, z_c))

    def drelu(self, act: Activation, z_s: Residues, z_c: Residues) -> Bits:
        return truncated_drelu(act.modulus, act.truncate_bits, act.mode, z_s, z_c)


def _top_bits(act: Activation, x: Residues) -> Bits:
    return to_bits(x >> np.uint32(act.truncate_bits), act.modulus.bits - act.truncate_bits)
