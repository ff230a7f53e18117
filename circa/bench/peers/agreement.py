"""Do a peer's results agree with ours on the same inputs? The bound is derived, and tight.

Write z for the integer that both are given (16 fractional bits) and f for our rescale. In units of 2^-16:

    ours     v * (floor(z / 2^f) or one more) * 2^f, where v is the sign test. Where v is right, this is
             within 2^f of max(z, 0), and equal to it for f = 0. v may be wrong inside the fault interval of
             the window (window.py), where the error is |z| more.
    theirs   max(z, 0) exactly where they encode with at least 16 fractional bits, as the product with the
             bit of the comparison is not rescaled; with b < 16 bits, z is cut first: less than 2^(16-b) off.

So |ours − theirs| <= 2^f [f > 0] + 2^(16-b) [b < 16] + |z| [z in the fault interval].
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circa.protocols.sign.window import fault_probability

from ..cases import Case
from ..inputs import FRACTION_BITS, sample
from ..relu import evaluate
from . import Setting

__all__ = ["Agreement", "comparable", "compare"]


@dataclass(frozen=True)
class Agreement:
    """Differences in real units (after division by 2^16), over all elements."""

    with_protocol: str
    agrees: bool
    largest_difference: float  # outside the fault interval
    bound: float  # there
    in_fault_interval: int  # elements where our sign test may be wrong
    largest_difference_there: float
    largest_error_of_peer: float  # against the plaintext ReLU

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def comparable(case: Case) -> bool:
    """Whether a case faults in a known interval only: exact tests and windows. Circa's wraps too: |x| / p."""
    return case.n is not None or case.protocol in ("delphi", "circa-sign")


def compare(case: Case, setting: Setting, theirs: NDArray[np.float64]) -> Agreement:
    """Run `case` on the inputs that the peer had, and compare. `theirs` are real values."""
    z = sample(case.elements)
    ours = evaluate(case, z) << case.shift
    difference = np.abs(ours - theirs * (1 << FRACTION_BITS))
    bound = (1 << case.shift) * (case.shift > 0)
    if setting.fraction_bits < FRACTION_BITS:
        bound += 1 << (FRACTION_BITS - setting.fraction_bits)
    doubtful = np.zeros(z.size, bool)
    window = case.activation().window
    if window is not None:
        doubtful = fault_probability(z, window.gain[0], window.bits, window.mode) > 0
    sure = difference[~doubtful].max(initial=0)
    there = difference[doubtful]
    unit = 1 << FRACTION_BITS
    return Agreement(
        with_protocol=case.label,
        agrees=bool(sure <= bound and np.all(there <= bound + np.abs(z[doubtful]))),
        largest_difference=float(sure / unit),
        bound=bound / unit,
        in_fault_interval=int(doubtful.sum()),
        largest_difference_there=float(there.max(initial=0) / unit),
        largest_error_of_peer=float(np.abs(theirs - np.maximum(z, 0) / unit).max(initial=0)),
    )
