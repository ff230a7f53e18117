"""What a unit of work takes on one core: the one part of an estimate that is measured, not counted.

Fitted by `benchmarks/fit_rates.py` to the processor time of both parties' threads in whole inferences,
waiting left out, on the machine that benchmarks/README.md names, with the native kernels; without them
everything takes several times as much.
"""

from collections.abc import Mapping

__all__ = ["RATES", "waking", "work"]

LONGEST_WAKING = 0.45e-3

# Seconds of one core: (client, server)
RATES = {
    "setup": (0.11, 0.11),  # a session's base OTs and keys
    "request": (0.32e-3, 1.2e-3),  # a request polynomial; at the server, a part of the responses
    "response": (0.16e-3, 19e-6),  # a response polynomial
    "product": (0.0, 27e-6),  # of a request and a weight polynomial
    "layer": (0.48e-3, 0.52e-3),  # an activation layer's correlations, offline: what does not grow
    "cot": (16e-9, 11e-9),  # a correlated OT and what is made of it, but for
    "block": (0.97e-9, 1.3e-9),  # a block of AES in its extension
    "gate": (64e-9, 23e-9),  # garbled offline
    "sign_test": (27e-9, 20e-9),  # online, garbled gates apart
    "online_gate": (9.1e-9, 1.7e-9),  # evaluated
    "message": (0.12e-3, 0.12e-3),  # an activation layer's, online: what does not grow, waking up apart
    "multiply_add": (0.0, 38e-12),  # the server's exact linear algebra
}


def waking(round_trip: float) -> float:
    """Seconds that a round trip takes beyond the line's own: whoever waits for long sleeps, and finds other
    data in the caches. From whole inferences over loopback and LAN.
    """
    return min(round_trip / 2, LONGEST_WAKING)


def work(units: Mapping[str, float]) -> tuple[float, float]:
    """Seconds of one core at the client and at the server, for so many of each unit."""
    client = sum(amount * RATES[name][0] for name, amount in units.items())
    server = sum(amount * RATES[name][1] for name, amount in units.items())
    return client, server
