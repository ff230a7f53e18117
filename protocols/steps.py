"""Protocols in steps, so that many of them take their round trips together.

A protocol that is a generator yields wherever the turn goes to the other party:

            sender                                  receiver
 step 0     sends                      →            receives
 step 1     receives                   ←            sends
 step 2     sends                      →            receives,    and so on

Either party may have nothing to say in a step. `together` runs several side by side: step 0 of each, in
order, then step 1 of each. Since a step has messages in one direction only, both parties see the same order
of messages whatever the protocols are, as long as they take the same ones in the same order; and all of them
together take as many round trips as the longest of them alone.
"""

from collections.abc import Generator, Sequence
from typing import TypeVar

__all__ = ["Steps", "complete", "together"]

T = TypeVar("T")
Steps = Generator[None, None, T]  # the result is what the generator returns


def together(runs: Sequence[Steps[T]]) -> Steps[list[T]]:
    """The results of all, in order; itself in steps."""
    results: dict[int, T] = {}
    while True:
        for i, run in enumerate(runs):
            if i not in results:
                try:
                    next(run)
                except StopIteration as end:
                    results[i] = end.value
        if len(results) == len(runs):
            return [results[i] for i in range(len(runs))]
        yield


def complete(run: Steps[T]) -> T:
    """The result of one protocol on its own: its steps one after the other."""
    while True:
        try:
            next(run)
        except StopIteration as end:
            result: T = end.value
            return result
