"""Linear layers exact modulo M: W x + bias on residues, by convolutions that round nothing.

layer.py      ExactLinear, one layer: chooses the way
doubles.py    float64 on whole residues: the definition, and what runs everywhere
words.py      products of 16-bit integers, the native kernel: about as fast as float32
"""

from .layer import ExactLinear

__all__ = ["ExactLinear"]
