"""Lines by name, with a bandwidth or a round trip of one's own."""

import pytest

from circa.errors import ParameterError
from circa.network import NETWORKS, Network, network


def test_named_lines():
    assert network("lan") is NETWORKS["lan"] == Network("lan", 1e9, 0.001)
    assert network("wan") == Network("wan", 100e6, 0.04)


def test_own_numbers():
    assert network("lan", bandwidth=50) == Network("custom", 50e6, 0.001)
    assert network("wan", latency=0) == Network("custom", 100e6, 0.0)


def test_seconds_are_bytes_over_bandwidth_and_round_trips():
    assert network("wan").seconds(1_000_000, 250_000, 3) == pytest.approx(0.1 + 0.12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("wifi",), "choose loopback, lan, wan"),
        (("lan", 0), "bandwidth"),
        (("lan", float("nan")), "bandwidth"),
        (("lan", None, -1), "round trip"),
        (("lan", None, float("inf")), "round trip"),
    ],
)
def test_refused(arguments, said):
    with pytest.raises(ParameterError, match=said):
        network(*arguments)
