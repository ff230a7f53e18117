"""Checks on what a party saw: blocks that differ by Δ, bytes that are not uniform, lengths that tell."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from relus import Run

Blocks = NDArray[np.uint64]


def check_no_pair_differs(delta: Blocks, result: Run, labels: Sequence[Blocks]) -> None:
    """Among all blocks of the receiver's view, received and from COT, no two are W and W ^ Δ, none is Δ."""
    messages = [*result.offline.left_sent, *result.online.left_sent]
    seen = [np.concatenate([block.reshape(-1, 2) for block in labels])]
    for message in messages:
        for start in range(0, 16, 4):  # wherever a block may lie in a message of several parts
            whole = (len(message) - start) // 16 * 16
            if whole > 0:
                seen.append(np.frombuffer(message[start : start + whole], np.uint64).reshape(-1, 2))
    blocks = np.concatenate(seen)
    view, shifted = as_set(blocks), as_set(blocks ^ delta)
    assert len(view) > 1000
    assert not view & shifted
    assert delta.tobytes() not in view


def as_set(blocks: Blocks) -> set[bytes]:
    return set(np.ascontiguousarray(blocks).view("V16").reshape(-1).tolist())


def check_uniform(data: bytes) -> None:
    """Bytes: chi-square within six deviations of its mean."""
    seen = np.bincount(np.frombuffer(data, np.uint8), minlength=256)
    mean = len(data) / 256
    assert abs(((seen - mean) ** 2 / mean).sum() - 255) < 6 * np.sqrt(2 * 255)


def check_same_lengths(runs: Sequence[Run]) -> None:
    """The lengths of all messages are the same in every run."""
    lengths = [
        [len(m) for said in (r.offline, r.online) for m in (*said.left_sent, *said.right_sent)] for r in runs
    ]
    assert all(found == lengths[0] for found in lengths)
