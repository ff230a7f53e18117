"""Linear layers exact modulo M: W x + bias on residues, by convolutions of digits that round nothing.

digits.py     residues and weights as digits in base 256
engines.py    convolutions of digits: 8-bit integers (VNNI, AMX), float32; which of them this machine has
layer.py      ExactLinear: puts the sums together modulo M
"""

from .layer import ExactLinear

__all__ = ["ExactLinear"]
