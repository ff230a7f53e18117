"""The float network with the sign test's faults: what a conversion will make of its ReLUs, for training.

Every call of an activation inside `with relus:` is replaced, functional and module forms alike. Where R is
the length of a channel's calibrated range, margin included, a table of n bits that it fills has the fault
interval W = R / (2^n - 2) in real units (converter/windows.py). With delta 0, W or W/2 (poszero, negpass,
balanced) and u uniform in [0, 1):

    forward     y = sum_j c_j v_j (z - knot_j),   v_j = [z - knot_j + delta > u W]
    backward    dy/dz = sum_j c_j v_j, as if v were constant: straight-through

so that P[v = 1] is the law of protocols/sign/window.py, up to the integers' grid. The knots of an activation
share u, as they share an index in the protocol. Max-pooling and values outside the window stay exact.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from circa.converter.windows import channel_range, with_margin
from circa.errors import ParameterError
from circa.protocols.sign.window import MAX_BITS, MIN_BITS, MODES

__all__ = ["FaultyReLUs"]


@dataclass(frozen=True)
class Shape:
    """offset + slope z + sum_j coefs[j] ReLU(z - knots[j]); slope may be one number a channel."""

    knots: tuple[float, ...] = (0.0,)
    coefs: tuple[float | Tensor, ...] = (1.0,)
    offset: float = 0.0
    slope: float | Tensor = 0.0


class FaultyReLUs(TorchFunctionMode):
    """Replaces activations by their faulty forms; the i-th call of a forward pass has the i-th window.

    windows: (n, mode) for every activation, or a single one for all. One `with` block is one forward pass.
    In a block after `measure()` the activations stay exact and their ranges are taken. Raises ParameterError
    for n or a mode out of range, and where a block has another number of activations than there are windows.
    """

    def __init__(
        self,
        windows: Sequence[tuple[int, str]] | tuple[int, str],
        margin: float = 1.25,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        single = len(windows) == 2 and isinstance(windows[0], int)
        self._windows: list[tuple[int, str]] = [windows] if single else list(windows)  # type: ignore[arg-type, list-item]
        self._single, self._margin, self._generator = single, margin, generator
        for n, mode in self._windows:
            if not MIN_BITS <= n <= MAX_BITS or mode not in MODES:
                raise ParameterError(
                    f"a window of {n} bits, mode {mode!r}: {MIN_BITS} to {MAX_BITS}, {MODES}"
                )
        self._ranges: list[tuple[Tensor, Tensor]] = []
        self._measuring = False
        self._call = 0

    @property
    def calls(self) -> int:
        """Activations in the last block."""
        return self._call

    def measure(self) -> None:
        """Forget the ranges; the next blocks take new ones, until `done`."""
        self._ranges, self._measuring = [], True

    def done(self) -> None:
        """The ranges are complete."""
        self._measuring = False

    def __enter__(self) -> "FaultyReLUs":
        self._call = 0
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        wanted = len(self._windows)
        if kind is None and not self._single and self._call != wanted:
            raise ParameterError(
                f"{wanted} windows for {self._call} activations of a forward pass (those of max-pooling do"
                " not count): give one n for all, or one for each"
            )

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        read = READERS.get(name.removesuffix("_"))
        shape = read(args[0], *args[1:], **kwargs) if read is not None else None
        if shape is None:
            return func(*args, **kwargs)
        y = self._activation(args[0], shape)
        return args[0].copy_(y) if name.endswith("_") else y

    def _activation(self, z: Tensor, shape: Shape) -> Tensor:
        i, self._call = self._call, self._call + 1
        wide = (1, -1, *(1,) * (z.ndim - 2))
        if self._measuring:
            low, high = channel_range(z.detach(), shape.knots)
            if i < len(self._ranges):
                before = self._ranges[i]
                self._ranges[i] = torch.minimum(before[0], low), torch.maximum(before[1], high)
            else:
                self._ranges.append((low, high))
            return self._sum(z, shape, torch.zeros((), dtype=z.dtype, device=z.device))
        if not self._single and i >= len(self._windows):
            return self._sum(z, shape, torch.zeros((), dtype=z.dtype, device=z.device))  # __exit__ complains
        if i >= len(self._ranges):
            raise ParameterError("the ranges of the activations are not known yet: measure them first")
        n, mode = self._windows[0 if self._single else i]
        low, high = with_margin(*self._ranges[i], shape.knots, self._margin, per_channel=True)
        width = ((high - low) / (2**n - 2)).to(z.dtype).view(wide)
        u = torch.rand(z.shape, generator=self._generator, dtype=z.dtype, device=z.device)
        delta = {"poszero": 0.0, "negpass": 1.0, "balanced": 0.5}[mode]
        return self._sum(z, shape, u.sub_(delta).mul_(width))

    def _sum(self, z: Tensor, shape: Shape, threshold: Tensor) -> Tensor:
        """With v_j = [z - knot_j > threshold]."""
        y = None if shape.offset == 0 and isinstance(shape.slope, float) and shape.slope == 0 else (
            z * shape.slope + shape.offset)  # fmt: skip
        for knot, coef in zip(shape.knots, shape.coefs, strict=True):
            x = z - knot if knot else z
            term = torch.where(x.detach() > threshold, x, x.new_zeros(()))
            if isinstance(coef, Tensor) or coef != 1:
                term = term * coef
            y = term if y is None else y + term
        assert y is not None
        return y


def _relu(z: Tensor, inplace: bool = False) -> Shape:
    return Shape()


def _relu6(z: Tensor, inplace: bool = False) -> Shape:
    return Shape((0.0, 6.0), (1.0, -1.0))


def _hardtanh(z: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Shape:
    return Shape((min_val, max_val), (1.0, -1.0), offset=min_val)


def _clamp(z: Tensor, min: Any = None, max: Any = None) -> Shape | None:
    if isinstance(min, Tensor) or isinstance(max, Tensor) or (min is None and max is None):
        return None
    if max is None:
        return Shape((min,), (1.0,), offset=min)
    return Shape((max,), (-1.0,), slope=1.0) if min is None else _hardtanh(z, min, max)


def _leaky_relu(z: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Shape:
    return Shape((0.0,), (1.0 - negative_slope,), slope=negative_slope)


def _prelu(z: Tensor, weight: Tensor) -> Shape:
    slope = weight.view(1, -1, *(1,) * (z.ndim - 2)) if z.ndim > 1 else weight
    return Shape((0.0,), (1.0 - slope,), slope=slope)


READERS: dict[str, Callable[..., Shape | None]] = {
    "relu": _relu,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": lambda z, min: _clamp(z, min),
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
}
