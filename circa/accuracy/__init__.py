"""How accurate a converted network is, and at which windows: by bit-exact simulation, nothing is sent.

windows     the same network with other windows, without a new conversion
draws       repeatable client shares; a program's outputs for many images
score       accuracy, its binomial interval, the difference between two runs on the same images
faults      the sign test's faults per layer: predicted by its law, and counted
sweep       accuracy against n or k                       figure     its plot
sensitivity what one layer's faults do to the output
tuning      a window for every layer under a budget       front      its plot
"""

from .faults import LayerFaults, fault_rates
from .sweep import Point, Sweep, sweep
from .tuning import Setting, Tuned, tune
from .windows import with_truncation, with_windows

__all__ = [
    "LayerFaults",
    "Point",
    "Setting",
    "Sweep",
    "Tuned",
    "fault_rates",
    "sweep",
    "tune",
    "with_truncation",
    "with_windows",
]
