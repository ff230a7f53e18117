"""Both roles of a protocol in one process, one at a time: what each costs when nothing else runs.

Each role has a thread, and one baton goes between them: a role runs until it waits for a message that is not
there, then the other one runs. So the two never compete for a core, a cache or the interpreter's lock, and
what is counted is the **processor time of the role's own thread** (user and system): neither waiting nor
another program's turn is in it. What a deployment needs of wall time is at most the sum of both roles, plus
the network; `loopback.py` measures that.

Both ends count their traffic as TCP channels do.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from circa.protocols.channel import Channel, Traffic
from circa.protocols.errors import FramingError, PeerGone, ProtocolError

__all__ = ["Phase", "Turns"]

S = TypeVar("S")
R = TypeVar("R")


@dataclass(frozen=True)
class Phase(Generic[S, R]):
    """What a run gave: both results, processor seconds and traffic of each role."""

    sender: S
    receiver: R
    sender_seconds: float
    receiver_seconds: float
    sender_traffic: Traffic
    receiver_traffic: Traffic

    @property
    def seconds(self) -> float:
        """Both roles' work, added."""
        return self.sender_seconds + self.receiver_seconds

    @property
    def rounds(self) -> int:
        """Round trips, as the role sees them that waits more often."""
        return max(self.sender_traffic.rounds, self.receiver_traffic.rounds)


class Turns:
    """A pair of channel ends that lasts for several runs: OT set-up, then offline and online phases."""

    def __init__(self) -> None:
        self._baton = _Baton()
        left: deque[bytes] = deque()
        right: deque[bytes] = deque()
        self._ends = _End(0, left, right, self._baton), _End(1, right, left, self._baton)

    def run(self, sender: Callable[[Channel], S], receiver: Callable[[Channel], R]) -> Phase[S, R]:
        """Run both roles. Raises the first failure, and ProtocolError for a message that nobody read."""
        roles: tuple[Callable[[Channel], Any], ...] = (sender, receiver)
        for end in self._ends:
            end.traffic.sending = False  # the last message of the run before is no turn of this one
        before = [end.traffic.copy() for end in self._ends]
        results: list[Any] = [None, None]
        seconds = [0.0, 0.0]
        failures: list[BaseException] = []

        def play(i: int) -> None:
            self._baton.wait(i)
            start = time.thread_time()
            try:
                results[i] = roles[i](self._ends[i])
            except BaseException as error:
                failures.append(error)
            seconds[i] = time.thread_time() - start
            self._baton.leave(i)

        self._baton.restart()
        threads = [threading.Thread(target=play, args=(i,), name=f"circa-bench-{i}") for i in (0, 1)]
        for thread in threads:
            thread.start()
        self._baton.give(0)
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        if any(end.inbox for end in self._ends):
            raise ProtocolError("a message was sent that the other role never read")
        spent = [end.traffic.since(start) for end, start in zip(self._ends, before, strict=True)]
        return Phase(results[0], results[1], seconds[0], seconds[1], spent[0], spent[1])


class _Baton:
    """Who may run. `give` and `wait` pair up, so no wake-up is lost."""

    def __init__(self) -> None:
        self._wake = threading.Semaphore(0), threading.Semaphore(0)
        self.left = [False, False]

    def restart(self) -> None:
        self._wake = threading.Semaphore(0), threading.Semaphore(0)
        self.left = [False, False]

    def give(self, i: int) -> None:
        self._wake[i].release()

    def wait(self, i: int) -> None:
        self._wake[i].acquire()

    def leave(self, i: int) -> None:
        self.left[i] = True
        self.give(1 - i)


class _End:
    """One end: a `circa.protocols.channel.Channel` whose `recv` hands over the baton."""

    def __init__(self, index: int, inbox: deque[bytes], outbox: deque[bytes], baton: _Baton):
        self.traffic = Traffic()
        self.inbox, self._outbox = inbox, outbox
        self._index, self._baton = index, baton

    def send(self, data: Any) -> None:
        message = bytes(data)
        self.traffic.count_send(len(message))
        self._outbox.append(message)

    def recv(self, size: int) -> bytes:
        if not self.inbox and not self._baton.left[1 - self._index]:
            self._baton.give(1 - self._index)
            self._baton.wait(self._index)
        if not self.inbox:  # the other role has ended, or waits for this one: neither will ever send
            raise PeerGone("the other role sends nothing more")
        message = self.inbox.popleft()
        if len(message) != size:
            raise FramingError(f"expected a message of {size} bytes, got {len(message)}")
        self.traffic.count_recv(size)
        return message

    def close(self) -> None:
        pass
