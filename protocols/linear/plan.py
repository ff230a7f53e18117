"""How one layer and batch is cut into polynomials: Cheetah's coefficient encoding, laid out.

[HLHD22] Huang, Lu, Hong, Ding. Cheetah: Lean and Fast Secure Two-Party Deep Neural Network Inference.
USENIX Security 2022, eprint 2022/207, section 3.1. Departures: rows share their padding, and so do images and
channels; several output channels, and several images, share a polynomial; outputs start at coefficient 0, and
weights may wrap around, with a sign.

With Hs, Ws the row and column pitch, A = images * Hs * Ws the area of a channel, all modulo x^N + 1:

    input   (c, b, y, x)      at  c A + (b Hs + y) Ws + x
    weight  (m, c, l, l')     at  m channels A + top Ws + left - (c A + l dh Ws + l' dw)
    output  (m, b, i, j)      at  m channels A + (b Hs + i sh) Ws + j sw

An output's coefficient then sums exactly the products it should: whatever else meets there has a zero factor.
A pitch is the data and one padding, which both neighbours share. With P = max(top Ws + left, bottom Ws +
right) that holds when

    (outputs - 1) channels A + (channels - 1) A + ((images - 1) Hs + rows - 1) Ws + columns - 1 + P  <  N

and the outputs of an image lie within its pitch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .axis import Axis
from .parameters import ParameterSet
from .shape import LinearShape

__all__ = ["Block", "Cut", "Plan", "make_plan"]

_PREPARE_BYTES = 1 << 10  # what preparing one weight polynomial counts as, against bytes on the wire
_HELD_BYTES = (
    1 << 25
)  # requests that the sender keeps at a time, so that each weight polynomial serves all of them
MAX_BATCH = 1 << 16


@dataclass(frozen=True)
class Cut:
    """An axis cut into tiles of `outputs` outputs each (the last may have fewer)."""

    axis: Axis
    outputs: int

    @property
    def whole(self) -> bool:
        return self.outputs == self.axis.outputs

    @property
    def count(self) -> int:
        return -(-self.axis.outputs // self.outputs)

    @property
    def before(self) -> int:
        """Padding before the stored data, not stored. A part of an axis is stored with its padding."""
        return self.axis.before if self.whole else 0

    @property
    def after(self) -> int:
        return self.axis.after if self.whole else 0

    @property
    def data(self) -> int:
        """Stored positions of a tile."""
        return self.axis.size if self.whole else (self.outputs - 1) * self.axis.stride + self.axis.span

    @property
    def pitch(self) -> int:
        """From one tile's start to the next one's in a polynomial: room for the data and for the outputs."""
        return max(self.data + max(self.before, self.after), self.reach + 1)

    @property
    def reach(self) -> int:
        """Where a tile's last output lies: beyond its data and padding if outputs read padding alone."""
        return (self.outputs - 1) * self.axis.stride

    def inputs(self, tile: int) -> tuple[int, int, int]:
        """The inputs [start, stop) of a tile, and the stored position of the first."""
        if self.whole:
            return 0, self.axis.size, 0
        first = tile * self.outputs * self.axis.stride - self.axis.before
        start = max(first, 0)
        return start, max(min(first + self.data, self.axis.size), start), start - first

    def made(self, tile: int) -> slice:
        """The outputs of a tile."""
        return slice(tile * self.outputs, min((tile + 1) * self.outputs, self.axis.outputs))


@dataclass(frozen=True)
class Block:
    """One tile of some images: what a row of request polynomials, one for each channel block, encodes."""

    images: slice
    row: int
    column: int


@dataclass(frozen=True)
class Plan:
    """The cut of one layer and batch. `images`, `channels`, `outputs`: how many share a polynomial."""

    shape: LinearShape
    batch: int
    parameters: ParameterSet
    rows: Cut
    columns: Cut
    images: int
    channels: int
    outputs: int

    @cached_property
    def image_area(self) -> int:
        return self.rows.pitch * self.columns.pitch

    @cached_property
    def area(self) -> int:
        """A, one channel of all images of a polynomial."""
        return self.images * self.image_area

    @property
    def channel_blocks(self) -> int:
        return -(-self.shape.in_channels // self.channels)

    @property
    def output_blocks(self) -> int:
        return -(-self.shape.out_channels // self.outputs)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        starts = range(0, self.batch, self.images)
        return tuple(
            Block(slice(start, min(start + self.images, self.batch)), row, column)
            for start in starts
            for row in range(self.rows.count)
            for column in range(self.columns.count)
        )

    @property
    def requests(self) -> int:
        return len(self.blocks) * self.channel_blocks

    @property
    def responses(self) -> int:
        return len(self.blocks) * self.output_blocks

    def waves(self) -> Iterator[tuple[Block, ...]]:
        """The blocks as the sender answers them, a wave at a time: output blocks outside, blocks inside."""
        held = max(1, _HELD_BYTES // (self.channel_blocks * self.parameters.ciphertext_bytes))
        for start in range(0, len(self.blocks), held):
            yield self.blocks[start : start + held]

    def made(self, output_block: int) -> slice:
        """The output channels of an output block."""
        start = output_block * self.outputs
        return slice(start, min(start + self.outputs, self.shape.out_channels))

    def read(self, output_block: int) -> range:
        """The channel blocks that an output block reads: with groups not all of them."""
        made, shape = self.made(output_block), self.shape
        inputs, outputs = shape.in_channels // shape.groups, shape.out_channels // shape.groups
        first, last = made.start // outputs, (made.stop - 1) // outputs
        return range(first * inputs // self.channels, ((last + 1) * inputs - 1) // self.channels + 1)

    @property
    def weight_polynomials(self) -> int:
        return sum(len(self.read(m)) for m in range(self.output_blocks))

    def where(self, block: Block, output_block: int) -> tuple[slice, slice, slice, slice]:
        """The part (images, channels, rows, columns) of the output that a response carries."""
        return (
            block.images,
            self.made(output_block),
            self.rows.made(block.row),
            self.columns.made(block.column),
        )

    def positions(self, block: Block, output_block: int) -> NDArray[np.int64]:
        """The coefficients of a response that carry those outputs, ordered (channel, image, row, column);
        read-only."""
        images, channels, rows, columns = (s.stop - s.start for s in self.where(block, output_block))
        strides = (
            self.channels * self.area,
            self.image_area,
            self.rows.axis.stride * self.columns.pitch,
            self.columns.axis.stride,
        )
        return _positions((channels, images, rows, columns), strides)


@lru_cache(maxsize=128)
def _positions(sizes: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[np.int64]:
    """All sums of multiples of the strides below the sizes, flat; read-only."""
    found = np.zeros(1, np.int64)
    for size, stride in zip(sizes, strides, strict=True):
        found = (found[:, None] + np.arange(size) * stride).reshape(-1)
    found.setflags(write=False)
    return found


@lru_cache(maxsize=1024)
def make_plan(shape: LinearShape, batch: int, parameters: ParameterSet) -> Plan:
    """The plan of least traffic. Depends on public data only, so both parties make the same one.

    Raises ParameterError for a batch out of range and for a kernel that no polynomial holds.
    """
    if not 1 <= batch <= MAX_BATCH:
        raise ParameterError(f"a batch has 1 to {MAX_BATCH} images, not {batch}")
    rows, columns = shape.rows.reduced()[0], shape.columns.reduced()[0]
    found = _cheapest(shape, batch, parameters, rows, Cut(columns, columns.outputs))
    if found is None:  # not even one whole row fits
        cuts = (Cut(columns, width) for width in _parts(columns.outputs))
        plans = [plan for cut in cuts if (plan := _cheapest(shape, batch, parameters, rows, cut)) is not None]
        if not plans:
            raise ParameterError(
                f"a kernel of {shape.kernel}, dilation {shape.dilation}, does not fit polynomials of degree "
                f"{parameters.degree}: use a smaller dilation or kernel"
            )
        found = min(plans, key=lambda plan: plan[0])
    return found[1]


def _parts(n: int) -> list[int]:
    """The sizes ceil(n / k) of parts that cut n evenly, largest first."""
    return sorted({-(-n // k) for k in range(1, n + 1)}, reverse=True)


def _cheapest(
    shape: LinearShape, batch: int, parameters: ParameterSet, rows: Axis, columns: Cut
) -> tuple[int, Plan] | None:
    """The least cost over the rows, images and channels of a polynomial, the columns being given."""
    best: tuple[int, Plan] | None = None
    images = np.array(_parts(batch))[:, None]
    channels = np.array(_parts(shape.in_channels))[None, :]
    for height in _parts(rows.outputs):
        cut = Cut(rows, height)
        area = images * (cut.pitch * columns.pitch)
        overhang = max(cut.before * columns.pitch + columns.before, cut.after * columns.pitch + columns.after)
        read = (cut.data - 1) * columns.pitch + columns.data - 1 + overhang
        made = cut.reach * columns.pitch + columns.reach
        last = (images - 1) * (cut.pitch * columns.pitch) + max(read, made)
        room = parameters.degree - 1 - (channels - 1) * area - last
        most = np.minimum(room // (channels * area) + 1, shape.out_channels)
        fits = room >= 0
        if not fits.any():
            continue
        output_blocks = -(-shape.out_channels // np.maximum(most, 1))
        channel_blocks = -(-shape.in_channels // channels)
        blocks = -(-batch // images) * (cut.count * columns.count)
        weight_polynomials = np.maximum(
            np.maximum(channel_blocks, output_blocks), channel_blocks * output_blocks // shape.groups
        )
        traffic = blocks * (
            channel_blocks * parameters.request_bytes + output_blocks * parameters.response_bytes
        )
        costs = np.where(fits, traffic + weight_polynomials * _PREPARE_BYTES, np.iinfo(np.int64).max)
        b, c = np.unravel_index(int(np.argmin(costs)), costs.shape)
        if best is None or costs[b, c] < best[0]:
            outputs = -(-shape.out_channels // int(output_blocks[b, c]))
            sizes = int(images[b, 0]), int(channels[0, c]), outputs
            best = int(costs[b, c]), Plan(shape, batch, parameters, cut, columns, *sizes)
    return best
