"""Values to the polynomials of a plan and back. The layout is in `plan.py`."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .plan import Block, Plan

__all__ = ["encode_input", "encode_weights", "place"]


def encode_input(plan: Plan, r: NDArray[np.uint32]) -> Iterator[NDArray[np.uint64]]:
    """For each block of the plan, its polynomials: uint64 (channel_blocks, N).

    r is (batch, in_channels, height, width). Padding and positions that no output reads stay out.
    """
    rows, columns = plan.shape.rows.reduced()[1], plan.shape.columns.reduced()[1]
    read = r[:, :, rows[:, None], columns]
    channels, used = (
        plan.channel_blocks * plan.channels,
        min(plan.channels * plan.area, plan.parameters.degree),
    )
    for block in plan.blocks:
        images = read[block.images]
        top, bottom, y = plan.rows.inputs(block.row)
        left, right, x = plan.columns.inputs(block.column)
        canvas = np.zeros((channels, plan.images, plan.rows.pitch, plan.columns.pitch), np.uint64)
        canvas[: images.shape[1], : images.shape[0], y : y + bottom - top, x : x + right - left] = images[
            :, :, top:bottom, left:right
        ].swapaxes(0, 1)
        polynomials = np.zeros((plan.channel_blocks, plan.parameters.degree), np.uint64)
        polynomials[:, :used] = canvas.reshape(plan.channel_blocks, -1)[
            :, :used
        ]  # beyond N lies only padding
        yield polynomials


def encode_weights(plan: Plan, weights: NDArray[np.integer], output_block: int) -> NDArray[np.int64]:
    """The weight polynomials of an output block, one for each channel block that it reads: int64 (., N).

    weights are (out_channels, in_channels / groups, kernel height, kernel width).
    """
    shape, made, read = plan.shape, plan.made(output_block), plan.read(output_block)
    outputs = np.arange(made.start, made.stop)
    inputs = shape.in_channels // shape.groups
    first = outputs // (shape.out_channels // shape.groups) * inputs - read.start * plan.channels
    dense = np.zeros((outputs.size, len(read) * plan.channels, *shape.kernel), weights.dtype)
    dense[np.arange(outputs.size)[:, None], first[:, None] + np.arange(inputs)] = weights[made]
    dense = dense.reshape(outputs.size, len(read), -1).swapaxes(0, 1)

    position, sign = _taps(plan, outputs.size)
    polynomials = np.zeros((len(read), plan.parameters.degree), np.int64)
    polynomials[:, position] = dense.reshape(len(read), -1) * sign
    return polynomials


@lru_cache(maxsize=64)
def _taps(plan: Plan, outputs: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The coefficients of (output, channel, tap), flat, and their signs: x^-k = -x^(N-k).

    Two taps may share a coefficient only where both never meet data: either value will do.
    """
    rows, columns, pitch = plan.rows, plan.columns, plan.columns.pitch
    m, c, i, j = np.ogrid[:outputs, : plan.channels, : plan.shape.kernel[0], : plan.shape.kernel[1]]
    position = (
        m * (plan.channels * plan.area)
        + (rows.before * pitch + columns.before)
        - (c * plan.area + i * (rows.axis.dilation * pitch) + j * columns.axis.dilation)
    ).reshape(-1)
    return position % plan.parameters.degree, np.where(position < 0, -1, 1)


def place(
    plan: Plan, block: Block, output_block: int, values: NDArray[np.integer], output: NDArray[np.uint32]
) -> None:
    """Put the values at `plan.positions` in their place in output, (batch, out_channels, height, width)."""
    part = output[plan.where(block, output_block)]
    images, channels, rows, columns = part.shape
    part[...] = values.reshape(channels, images, rows, columns).swapaxes(0, 1)
