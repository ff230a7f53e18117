"""Which k a session's SoftSpoken OT takes: bytes on the line against blocks of AES.

A COT takes ⌈128/k⌉ bits of the line and about 2^k / k blocks of AES at each party. `best_k` minimises the sum
of both times for one COT: it errs on the side of fewer blocks, since the parties work while the line is
busy, but a processor has other things to do. Any k is as secure; the choice is public.

    seconds(k) = ⌈128/k⌉ / bandwidth + COT + BLOCK · (leaves / 128)
"""

from .. import kernels
from .cots import KAPPA
from .leaves import depths
from .softspoken import MAX_K

__all__ = ["MAX_BANDWIDTH", "best_k", "seconds"]

# (COT, BLOCK) in nanoseconds on one core of an AMD EPYC (Zen 4), from `benchmarks/bench_ot.py`
_RATES = {"vaes": (2.3, 0.77), "aes-ni": (5.5, 1.65), "numpy": (40.0, 4.5)}
MAX_BANDWIDTH = 1e9  # bits a second; a faster line gains microseconds by more bytes, and is taken as this one


def best_k(bits_per_second: float) -> int:
    """The k in 1 ... 8 with the fewest seconds for a COT on this line, with the kernels that run here."""
    fast = kernels.native()
    level = fast.level() if fast is not None else "numpy"
    return min(range(1, MAX_K + 1), key=lambda k: seconds(k, bits_per_second, level))


def seconds(k: int, bits_per_second: float, level: str) -> float:
    """Predicted for one COT; level is one of the kernels', or "numpy"."""
    cot, block = _RATES[level]
    blocks = sum(1 << depth for depth in depths(k)) / KAPPA
    return len(depths(k)) / min(bits_per_second, MAX_BANDWIDTH) + 1e-9 * (cot + block * blocks)
