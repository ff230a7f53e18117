"""What a unit of work takes on one core: the one part of an estimate that is measured, not counted.

Fitted by `benchmarks/fit_rates.py` to the processor time of both parties' threads in whole inferences,
waiting left out, on the machine that benchmarks/README.md names, with the native kernels; without them
everything takes several times as much.
"""

from collections.abc import Mapping

__all__ = ["RATES", "work"]

# Seconds of one core: (client, server)
RATES = {
    "setup": (0.095, 0.087),  # a session's base OTs and keys
    "request": (0.32e-3, 1.0e-3),  # a request polynomial; at the server, a part of the responses
    "response": (0.12e-3, 0.0),  # a response polynomial
    "product": (0.0, 20e-6),  # of a request and a weight polynomial
    "layer": (0.42e-3, 0.37e-3),  # an activation layer's correlations, offline: what does not grow
    "cot": (11e-9, 10e-9),  # a correlated OT and what is made of it, but for
    "block": (1.0e-9, 1.2e-9),  # a block of AES in its extension
    "gate": (53e-9, 42e-9),  # garbled offline
    "sign_test": (29e-9, 23e-9),  # online, garbled gates apart
    "online_gate": (7.4e-9, 1.6e-9),  # evaluated
    "message": (0.44e-3, 0.54e-3),  # an activation layer's, online: waking up, and what does not grow
    "multiply_add": (0.0, 33e-12),  # the server's exact linear algebra
}


def work(units: Mapping[str, float]) -> tuple[float, float]:
    """Seconds of one core at the client and at the server, for so many of each unit."""
    client = sum(amount * RATES[name][0] for name, amount in units.items())
    server = sum(amount * RATES[name][1] for name, amount in units.items())
    return client, server
