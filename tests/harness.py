"""`run_pair`: both roles of a protocol in two threads of one process, over an in-memory channel."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from circa.protocols.channel import Channel, MemoryChannel, Traffic, memory_pair


@dataclass
class Transcript:
    """What crossed the wire: counters of both ends, and the messages of each direction."""

    left: Traffic
    right: Traffic
    left_sent: list[bytes]
    right_sent: list[bytes]

    @property
    def rounds(self) -> int:
        """Messages in sequence / 2, rounded up: 1 for a message and its answer, 1 for a lone message."""
        return max(self.left.rounds, self.right.rounds, int(bool(self.left_sent or self.right_sent)))


def run_pair(
    left: Callable[[Channel], Any], right: Callable[[Channel], Any], timeout: float = 20.0
) -> tuple[Any, Any, Transcript]:
    """Run both roles and return their results and the transcript; raises the first failure of either role."""
    ends = memory_pair(timeout)
    results: list[Any] = [None, None]
    failures: list[BaseException] = []

    def role(i: int, function: Callable[[Channel], Any], ch: MemoryChannel) -> None:
        try:
            results[i] = function(ch)
        except BaseException as error:
            failures.append(error)
            ch.close()

    threads = []
    for i, function in enumerate((left, right)):
        ends[i].record()
        threads.append(threading.Thread(target=role, args=(i, function, ends[i])))
        threads[i].start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    sent = [list(end.sent or ()) for end in ends]
    return results[0], results[1], Transcript(ends[0].traffic, ends[1].traffic, *sent)
