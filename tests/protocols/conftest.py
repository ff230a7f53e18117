"""The fixture that runs a test over ideal OT and again over the real one."""

import pytest
from otpairs import KINDS, Setup, ot_setups


@pytest.fixture(params=KINDS)
def ot(request: pytest.FixtureRequest) -> tuple[Setup, Setup]:
    """Setup functions of the left and the right party; see otpairs.py."""
    return ot_setups(request.param)
