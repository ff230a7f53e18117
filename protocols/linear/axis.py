"""One spatial axis of a linear layer: size, kernel, stride, padding, dilation; and what of it is ever read.

A strided or dilated layer leaves inputs unread (a 1x1 layer of stride 2 reads one value in four).
`Axis.reduced` drops them: it keeps the positions that are read and gives the smaller axis on which the same
outputs come out. It uses public geometry only, so both parties reduce alike.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError

__all__ = ["Axis"]


@dataclass(frozen=True)
class Axis:
    """Output i reads positions i * stride + l * dilation, l < kernel; position p is the input p - before."""

    size: int
    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1

    @property
    def span(self) -> int:
        """Positions from the first to the last tap of the dilated kernel."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def outputs(self) -> int:
        return (self.before + self.size + self.after - self.span) // self.stride + 1

    def reduced(self) -> tuple["Axis", NDArray[np.int64]]:
        """The axis without what no output reads, and the indices of the inputs that it keeps."""
        i, tap = np.arange(self.outputs)[:, None], np.arange(self.kernel)[None, :]
        reads = i * self.stride + tap * self.dilation
        kept = np.unique(reads)
        rank = np.searchsorted(kept, reads)
        stride = int(rank[1, 0]) if self.outputs > 1 else 1
        dilation = int(rank[0, 1]) if self.kernel > 1 else 1
        if not np.array_equal(rank, i * stride + tap * dilation):
            # the gaps are irregular: cut only the end off
            kept, stride, dilation = np.arange(int(reads.max()) + 1), self.stride, self.dilation
        inside = (kept >= self.before) & (kept < self.before + self.size)
        if not inside.any():
            raise ParameterError(f"an axis of {self.size} inputs reads only its padding: {self}")
        before = int(np.count_nonzero(kept < self.before))
        after = int(np.count_nonzero(kept >= self.before + self.size))
        inputs = kept[inside] - self.before
        return Axis(inputs.size, self.kernel, stride, before, after, dilation), inputs
