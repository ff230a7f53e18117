from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Blocks = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
Slots = NDArray[np.int32]

interface: str  # SHA-256 of this file as the kernels were built

def level() -> str:
    """The instructions in use, one of `levels`."""

def levels() -> list[str]:
    """What this processor has, the fastest first."""

def select(level: str) -> None: ...
def tccr(x: Blocks, tweak: int, out: Blocks) -> None: ...
def cot_pads(K: Blocks, delta: Blocks, tweak: int, zero: Blocks, one: Blocks) -> None: ...
def expand(keys: Bytes, first: int, out: Bytes) -> None: ...
def columns(rows: Bytes, out: Blocks) -> None: ...
def schedules(seeds: Bytes, out: Bytes) -> None: ...
def softspoken_send(leaves: Bytes, k: int, first: int, delta: Blocks, d: Bytes, K: Blocks) -> None: ...
def softspoken_recv(leaves: Bytes, k: int, first: int, r: Bytes, d: Bytes, M: Blocks) -> None: ...
def one_of_n_send(K: Blocks, delta: Blocks, tweak: int, n: int, first: int, out: Blocks) -> None: ...
def one_of_n_recv(M: Blocks, tweak: int, n: int, first: int, out: Blocks) -> None: ...
def pack(values: NDArray[np.unsignedinteger], width: int, out: Bytes) -> None: ...
def unpack(packed: Bytes, width: int, out: Blocks) -> None: ...
def encode(zero: Blocks, delta: Blocks, bits: Bytes, out: Blocks) -> None: ...
def colours(labels: Blocks, out: Bytes) -> None: ...
def words(bits: Bytes, width: int, out: NDArray[np.uint32]) -> None: ...
def garble(
    op: Bytes,
    a: Slots,
    b: Slots,
    out: Slots,
    slots: int,
    output_slots: Slots,
    garbler: Blocks,
    fixed: Bytes,
    evaluator: Blocks,
    delta: Blocks,
    tweak: int,
    tables: Blocks,
    outputs: Blocks,
) -> None: ...
def evaluate(
    op: Bytes,
    a: Slots,
    b: Slots,
    out: Slots,
    slots: int,
    output_slots: Slots,
    garbler: Blocks,
    fixed_inputs: int,
    evaluator: Blocks,
    tweak: int,
    tables: Blocks,
    outputs: Blocks,
) -> None: ...
def below(draw: NDArray[np.uint32], bound: int, out: NDArray[np.uint32]) -> int: ...
def centred_binomial(draw: NDArray[np.uint64], width: int, out: NDArray[np.int64]) -> None: ...
def signed_residues(
    low: NDArray[np.uint64],
    limbs: NDArray[np.uint16],
    width: int,
    primes: list[int],
    out: NDArray[np.uint64],
) -> None: ...

class Ring:
    """Z_q[x] / (x^N + 1) and the sender's work over it: `linear/native_sender.py`."""

    def __init__(
        self,
        degree: int,
        primes: list[int],
        roots: list[int],
        modulus: int,
        remainder: int,
        delta: list[int],
    ) -> None: ...
    def transform(self, values: NDArray[np.int64]) -> NDArray[np.uint64]: ...
    def expand_request(self, message: Bytes) -> NDArray[np.uint64] | None: ...
    def respond(
        self,
        ciphertexts: list[NDArray[np.uint64]],
        factors: list[NDArray[np.uint64]],
        error: NDArray[np.int64],
        flood: NDArray[np.uint64],
        message: NDArray[np.uint32],
        positions: NDArray[np.int64],
        out: Bytes,
    ) -> None: ...
    def encrypt(
        self,
        secret: NDArray[np.uint64],
        message: NDArray[np.uint64],
        error: NDArray[np.int64],
        seed: Bytes,
        out: Bytes,
    ) -> None: ...
    def decrypt(
        self,
        secret: NDArray[np.uint64],
        response: Bytes,
        positions: NDArray[np.int64],
        out: NDArray[np.uint32],
    ) -> bool: ...

def convolution_levels() -> list[str]:
    """The instructions with which this processor can run a `Convolution`, the fastest first."""

class Convolution:
    """A linear layer W x + bias exact modulo M on uint32 residues; conv.h says how. Threads may share one.

    weights: (out, in / groups, kernel height, kernel width), for the prime of 1-norm up to 2^21 a row.
    Raises ValueError for sizes that do not fit together or are too large.
    """

    def __init__(
        self,
        weights: NDArray[np.int16],
        bias: NDArray[np.uint32],  # (out,)
        size: Sequence[int],  # height, width
        stride: Sequence[int],
        padding: Sequence[int],  # top, bottom, left, right
        dilation: Sequence[int],
        groups: int,
        modulus: int,  # 0 for the ring 2^32
        level: str,
    ) -> None: ...
    def apply(self, x: NDArray[np.uint32], y: NDArray[np.uint32], threads: int) -> None:
        """(batch, in, height, width) to y (batch, out, out height * out width)."""
