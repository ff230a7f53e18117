"""Which activations run their offline phases together, and how many round trips each then adds.

A group takes as many round trips as the longest of its layers (protocols/steps.py), instead of the sum. All
correlations of a group are in the making at once, so a group ends where its messages would pass
`GROUP_BYTES`; both parties know that from the public program, the number of images and the OT's k.
"""

from collections.abc import Sequence

from circa.protocols.relu import Cost

from . import masked
from .program import Activate, Program

__all__ = ["GROUP_BYTES", "added_rounds", "groups"]

GROUP_BYTES = 1 << 25  # of messages; the keys in memory take about three times as much


def groups(program: Program, images: int, ot_k: int) -> list[list[tuple[Activate, Cost]]]:
    """The activations with their costs, in program order, cut into groups."""
    found: list[list[tuple[Activate, Cost]]] = []
    size = rounds = 0
    for op in program.activations:
        cost = masked.protocol(program, op).cost(op.activation(program.modulus), images, ot_k)
        added = cost.offline.down + cost.offline.up
        # A group without a round trip is not left: its messages would count as the next one's turn.
        if not found or (rounds and size + added > GROUP_BYTES):
            found.append([])
            size = rounds = 0
        found[-1].append((op, cost))
        size, rounds = size + added, rounds + cost.offline.rounds
    return found


def added_rounds(rounds: Sequence[int]) -> list[int]:
    """Of layers with so many round trips each, in one group: those that each adds to the ones before it.

    The first layer that receives in a step is the one that waits.
    """
    longest, added = 0, []
    for own in rounds:
        added.append(max(0, own - longest))
        longest = max(longest, own)
    return added
