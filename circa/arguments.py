"""Numbers that a caller gave: one error with the argument's name and range, whatever is wrong with it."""

import operator
from numbers import Real
from typing import Any

from .errors import ParameterError

__all__ = ["LONGEST", "number", "whole"]

LONGEST = 86_400.0  # seconds of a timeout: the system's clocks do not take any number


def whole(name: str, value: Any, low: int, high: int) -> int:
    """The value as an int. Raises ParameterError for what is no whole number from `low` to `high`."""
    try:
        if low <= (index := operator.index(value)) <= high:
            return index
    except TypeError:
        pass
    raise ParameterError(f"{name} takes a whole number from {low} to {high}, not {value!r}")


def number(name: str, value: Any, low: float, high: float) -> float:
    """The value as a float. Raises ParameterError for what is no number from `low` to `high`."""
    if isinstance(value, Real) and low <= float(value) <= high:
        return float(value)
    raise ParameterError(f"{name} takes a number from {low:g} to {high:g}, not {value!r}")
