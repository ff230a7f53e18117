"""Circuit privacy: how much of the weights a response's noise could show, and how much flooding hides it.

The receiver, who holds the secret key, sees of each coefficient its output and its error V + E:

    V    what depends on the weights:  W (e + rounding) + u e_pk + e1 s,
         |V| <= 21.5 |W|_1 + 21 N + 21 N + 1      worst case: SEAL's errors are below 21, u and s are ternary
    E    uniform in [-2^B, 2^B), drawn for each coefficient: the flood

so V + E is within |V| / 2^(B+1) of E, which depends on nothing. With V gone, u and e1 occur in c1 only, and
c1 + u a + e1 is pseudorandom by RLWE even to the holder of s. Switching to the first prime and leaving
coefficients out only process what is simulated. B = floor(log2(q / 2t)) - 1 keeps decryption always exact:

    (2^B + |V|) / (q / q0) + (primes - 1) (1 + N) / 2  <  q0 / 2t.

The margin B - log2 |V| is per revealed coefficient; a union over an inference's 2^19 outputs costs at most 19
bits. Semi-honest: a receiver that deviates may send requests of larger noise.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..shares import Modulus
from .parameters import A8192, B4096, ParameterSet
from .plan import make_plan
from .samplers import BINOMIAL
from .seal import Context, context
from .shape import LinearShape

__all__ = ["MARGIN", "check_margin", "choose_parameters", "decryption_bounds", "flood_bits", "flood_margin"]

MARGIN = 40  # bits, worst case, of every coefficient that the receiver sees
_ERROR = BINOMIAL  # bounds SEAL's errors in both its builds: centred binomial 21, Gaussian clipped at 19.2
_ROUNDING = 0.5  # of q/t * message


def flood_bits(chosen: Context) -> int:
    """B: the flood is uniform in [-2^B, 2^B), 2^B <= q / 4t."""
    return (math.prod(chosen.primes) // (2 * chosen.modulus)).bit_length() - 2


def worst_noise(degree: int, weights: NDArray[np.integer]) -> float:
    """The bound on |V| over all outputs of a layer; weights are (out_channels, ...)."""
    norm = int(np.abs(weights.astype(np.int64)).reshape(weights.shape[0], -1).sum(axis=1).max())
    return norm * (_ERROR + _ROUNDING) + 2 * _ERROR * degree + 1


def flood_margin(parameters: ParameterSet, modulus: Modulus, weights: NDArray[np.integer]) -> float:
    """B - log2 |V| in bits, worst case."""
    return flood_bits(context(parameters, modulus.value)) - math.log2(worst_noise(parameters.degree, weights))


def decryption_bounds(chosen: Context) -> tuple[float, float]:
    """The largest error of a flooded response at the first prime, and what it must stay below."""
    flood = 2.0 ** flood_bits(chosen) * (1 + 2.0**-MARGIN) / math.prod(chosen.primes[1:])
    switching = (len(chosen.primes) - 1) * (1 + chosen.degree) / 2
    return flood + switching, chosen.primes[0] / (2 * chosen.modulus)


def check_margin(parameters: ParameterSet, modulus: Modulus, weights: NDArray[np.integer]) -> None:
    """Raise ParameterError unless the flood hides these weights."""
    margin = flood_margin(parameters, modulus, weights)
    if margin < MARGIN:
        # the margin itself would tell the weights' norm
        raise ParameterError(
            f"the weights' sum of absolute values leaves less than {MARGIN} bits of circuit privacy with "
            f"{parameters.name}: use fewer fractional bits for the weights, or parameters {A8192.name}"
        )


def choose_parameters(shape: LinearShape, weights: NDArray[np.int64], modulus: Modulus) -> str:
    """The cheapest parameter set that holds the layer's kernel and hides its weights; becomes public.

    Raises ParameterError, which names the remedy, where none does.
    """
    shape.check_weights(weights)
    refusal: ParameterError | None = None
    for parameters in (B4096, A8192):
        try:
            make_plan(shape, 1, parameters)
            check_margin(parameters, modulus, weights)
            return parameters.name
        except ParameterError as error:
            refusal = error
    assert refusal is not None
    raise refusal
