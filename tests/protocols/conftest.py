"""Fixtures that run a test over ideal OT and again over the real one, and with the kernels of every level."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from otpairs import KINDS, Setup, ot_setups

from circa.protocols import kernels

NATIVE = kernels.native()
LEVELS = NATIVE.levels() if NATIVE else [pytest.param("", marks=pytest.mark.skip(reason="no native kernels"))]


@pytest.fixture(params=KINDS)
def ot(request: pytest.FixtureRequest) -> tuple[Setup, Setup]:
    """Setup functions of the left and the right party; see otpairs.py."""
    return ot_setups(request.param)


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Runs a test with the kernels of each level that this processor has."""
    assert NATIVE is not None
    best = NATIVE.level()
    NATIVE.select(request.param)
    yield NATIVE
    NATIVE.select(best)
