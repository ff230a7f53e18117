"""What every ReLU protocol has in common: the public description of a layer, its cost, the interface.

A protocol computes shares of y = v * floor(z / 2^f) (up to one unit) from shares of z, where v is its sign
test. Roles: the **sender** holds the share z_s, which depends on the input; the **receiver**'s share z_c is
fixed offline, and so is its share y_c of the result.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..channel import Channel
from ..errors import ParameterError
from ..prg import Prg
from ..shares import Modulus
from ..sign.window import Window
from ..steps import Steps

if TYPE_CHECKING:
    from ..ot import OtPair  # describing a layer loads no cryptography

__all__ = ["MAX_SHIFT", "Activation", "Cost", "Material", "Phase", "Relu"]

MAX_SHIFT = 24
Residues = NDArray[np.uint32]
Material = Any  # a protocol's own frozen dataclass of arrays, images first (material.py)


@dataclass(frozen=True)
class Activation:
    """sum_j coefs[j] * ReLU~(z - knots[j]) >> shift, elementwise on (channels, positions), one image. Public.

    `window` describes the sign test of the window protocols, `truncate_bits` and `mode` that of the
    published ones. Knots are integers at z's scale, coefficients 1 or -1. Raises ParameterError for a value
    outside its range.
    """

    modulus: Modulus
    channels: int
    positions: int
    shift: int = 0
    window: Window | None = None
    truncate_bits: int = 0
    mode: str = "poszero"
    knots: tuple[int, ...] = (0,)
    coefs: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if self.channels < 1 or self.positions < 1:
            raise ParameterError(f"an activation of {self.channels} channels x {self.positions} positions")
        if not 0 <= self.shift <= MAX_SHIFT:
            raise ParameterError(f"a rescale shifts by 0 to {MAX_SHIFT} bits, not {self.shift}")
        if len(self.knots) != len(self.coefs):
            raise ParameterError(f"{len(self.knots)} knots with {len(self.coefs)} coefficients")
        if any(c not in (1, -1) for c in self.coefs):
            raise ParameterError(f"coefficients are 1 or -1, not {self.coefs}")
        if any(abs(knot) >= 1 << 30 for knot in self.knots):
            raise ParameterError(f"knots lie within 30 bits and a sign, got {self.knots}")
        if self.window is not None and len(self.window.gain) not in (1, self.channels):
            raise ParameterError(f"a window of {len(self.window.gain)} gains for {self.channels} channels")
        if self.window is not None and self.window.positive and len(self.window.positive) != len(self.knots):
            raise ParameterError(
                f"a window for {len(self.window.positive)} knots, there are {len(self.knots)}"
            )

    @property
    def elements(self) -> int:
        """Per image."""
        return self.channels * self.positions

    def shape(self, batch: int) -> tuple[int, int, int]:
        return batch, self.channels, self.positions

    def batch_of(self, share: Residues) -> int:
        """The images in a share; raises ParameterError unless it is uint32 (batch, channels, positions)."""
        if share.dtype != np.uint32 or share.ndim != 3 or share.shape != self.shape(share.shape[0]):
            raise ParameterError(
                f"a share of this layer is uint32 of shape (batch, {self.channels}, {self.positions}), "
                f"not {share.dtype} of shape {share.shape}"
            )
        return share.shape[0]


@dataclass(frozen=True)
class Phase:
    """Payload bytes from the sender (down) and from the receiver (up), and round trips."""

    down: int
    up: int
    rounds: int


@dataclass(frozen=True)
class Cost:
    """The exact cost of one layer: what `Traffic` counts, the garbled circuit, and what waits in stock."""

    offline: Phase
    online: Phase
    and_gates: int  # of the whole layer
    table_bytes: int  # garbled tables alone, part of offline.down
    sender_stored: int  # bytes of the sender's material
    receiver_stored: int


class Relu(Protocol):
    """One ReLU protocol. Shares are uint32 of shape (batch, channels, positions); materials are used once."""

    @property
    def name(self) -> str: ...

    def offline_sender(
        self, ch: Channel, ot: "OtPair", act: Activation, batch: int, prg: Prg
    ) -> Steps[Material]:
        """A generator, as the receiver's is (steps.py): the steps of a layer may go with those of others."""
        ...

    def offline_receiver(
        self, ch: Channel, ot: "OtPair", act: Activation, z_c: Residues, y_c: Residues, prg: Prg
    ) -> Steps[Material]:
        """The caller draws `y_c`, the receiver's share of y (r' in design.md 5.3): uniformly, for this call
        alone, and before z_c is known, so that the next linear layer's request does not wait for this one.
        """
        ...

    def online_sender(self, ch: Channel, act: Activation, z_s: Residues, material: Material) -> Residues:
        """Returns y_s."""
        ...

    def online_receiver(self, ch: Channel, act: Activation, material: Material) -> None: ...

    def simulate(self, act: Activation, z_s: Residues, z_c: Residues) -> Residues:
        """y = y_s + y_c mod M that the protocol gives for these shares, bit for bit."""
        ...

    def cost(self, act: Activation, batch: int, ot_k: int = ...) -> Cost:
        """The offline bytes depend on the k of the session's OT extension (ot/softspoken.py)."""
        ...
