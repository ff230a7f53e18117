"""A layer's weights ready for products, and how much memory such weights may take.

A weight polynomial takes 64 KiB (B4096) once prepared, and its layout depends on the plan, hence on the
batch. A cache keeps those of each layer's latest plan while they fit its limit; what does not fit is prepared
again when it is needed.
"""

import threading
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..shares import Modulus
from .backend import SenderBackend, WeightRow, sender_backend
from .encoding import encode_weights
from .noise import check_margin
from .parameters import ParameterSet
from .plan import Plan
from .shape import LinearShape

__all__ = ["CACHE_BYTES", "Prepared", "WeightCache"]

CACHE_BYTES = 1 << 28


@dataclass
class _Kept:
    plan: Plan
    rows: dict[int, WeightRow]
    size: int = 0  # bytes


class WeightCache:
    """Prepared weight polynomials of many layers, at most `limit` bytes. Safe to share by threads."""

    def __init__(self, limit: int = CACHE_BYTES):
        self.limit = limit
        self._lock = threading.Lock()
        self._kept: WeakKeyDictionary[Prepared, _Kept] = WeakKeyDictionary()

    @property
    def used(self) -> int:
        """Bytes kept."""
        return sum(kept.size for kept in list(self._kept.values()))

    def row(self, prepared: "Prepared", plan: Plan, output_block: int) -> WeightRow:
        """The weight polynomials of an output block, from memory or prepared now."""
        with self._lock:
            kept = self._kept.get(prepared)
            if kept is None or kept.plan != plan:
                kept = self._kept[prepared] = _Kept(plan, {})
            row = kept.rows.get(output_block)
        if row is not None:
            return row
        row = prepared.encode(plan, output_block)
        size = len(row) * plan.parameters.plaintext_bytes
        with self._lock:
            if output_block not in kept.rows and self.used + size <= self.limit:
                kept.rows[output_block] = row
                kept.size += size
        return row


_SHARED = WeightCache()


class Prepared:
    """One layer's weights, checked, for any number of sessions and batch sizes.

    Raises ParameterError for weights of another shape, of more than 16 bits, or that the flood would not
    hide.
    """

    def __init__(
        self,
        modulus: Modulus,
        shape: LinearShape,
        weights: NDArray[np.integer],
        parameters: ParameterSet,
        cache: WeightCache | None = None,
    ):
        shape.check_weights(weights)
        check_margin(parameters, modulus, weights)
        self.modulus, self.shape, self.parameters = modulus, shape, parameters
        self.weights = weights.astype(np.int16)
        self._cache = _SHARED if cache is None else cache

    @property
    def backend(self) -> SenderBackend:
        return sender_backend(self.parameters, self.modulus.value)

    def row(self, plan: Plan, output_block: int) -> WeightRow:
        """The weight polynomials of an output block."""
        return self._cache.row(self, plan, output_block)

    def encode(self, plan: Plan, output_block: int) -> WeightRow:
        """The same, prepared now."""
        polynomials = encode_weights(plan, self.weights, output_block)
        read = plan.read(output_block)
        used = np.flatnonzero(polynomials.any(axis=1))
        return [(read[i], self.backend.factor(polynomials[i])) for i in used.tolist()]
