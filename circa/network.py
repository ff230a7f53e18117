"""Lines between the parties: what an estimate assumes and what `circa bench network` emulates."""

from dataclasses import dataclass, replace

from .errors import ParameterError

__all__ = ["NETWORKS", "Network", "network"]


@dataclass(frozen=True)
class Network:
    """A line that carries `bits_per_second` each way; a bit takes half of `round_trip` seconds to arrive."""

    name: str
    bits_per_second: float
    round_trip: float

    def seconds(self, sent: float, received: float = 0.0, rounds: float = 0.0) -> float:
        """Of `rounds` round trips in which the two parties take turns to send, bytes in all."""
        return 8 * (sent + received) / self.bits_per_second + rounds * self.round_trip


NETWORKS = {
    line.name: line
    for line in (
        Network("loopback", 16e9, 0.0002),  # what two processes reach on one machine; never emulated
        Network("lan", 1e9, 0.001),
        Network("wan", 100e6, 0.04),
    )
}


def network(name: str, bandwidth: float | None = None, latency: float | None = None) -> Network:
    """The line of that name, with another bandwidth (Mbit/s) or round trip (ms) where given.

    Raises ParameterError, listing the names, for an unknown one, and for a bandwidth or round trip that no
    line has.
    """
    if name not in tuple(NETWORKS):  # whatever its type
        raise ParameterError(f"unknown network '{name}': choose {', '.join(NETWORKS)}")
    if bandwidth is not None and not 0 < bandwidth < float("inf"):
        raise ParameterError(f"a bandwidth of {bandwidth} Mbit/s carries nothing: give a positive number")
    if latency is not None and not 0 <= latency < float("inf"):
        raise ParameterError(f"a round trip of {latency} ms is not possible: give 0 or more")
    line = NETWORKS[name]
    if bandwidth is None and latency is None:
        return line
    return replace(
        line,
        name="custom",
        bits_per_second=line.bits_per_second if bandwidth is None else bandwidth * 1e6,
        round_trip=line.round_trip if latency is None else latency / 1e3,
    )
