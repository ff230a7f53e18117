"""Linear layers exact modulo M: W x + bias on residues, by convolutions that round nothing.

layer.py      ExactLinear, one layer: chooses the way
doubles.py    float64 on whole residues: runs everywhere
bytes.py      8-bit integers, where the processor multiplies them exactly: two to three times as fast
digits.py     residues and weights as digits in base 256
"""

from .layer import ExactLinear

__all__ = ["ExactLinear"]
