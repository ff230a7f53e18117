"""Both parties' OT pairs for tests of what is built on them: ideal, or real over the channel of the test."""

from collections.abc import Callable

from circa.protocols.channel import Channel
from circa.protocols.ot import OtPair, setup_pair
from circa.protocols.ot.ideal import ideal_pair
from circa.protocols.prg import Prg

KINDS = ("ideal", "softspoken")
Setup = Callable[[Channel], OtPair]


def ot_setups(kind: str) -> tuple[Setup, Setup]:
    """For the left and the right role of `run_pair`: functions of the channel that return an OtPair."""
    if kind == "ideal":
        left, right = ideal_pair(Prg(b"ideal functional"))
        return lambda ch: left, lambda ch: right
    return (
        lambda ch: setup_pair(ch, Prg(b"left OT seed 016"), first=True),
        lambda ch: setup_pair(ch, Prg(b"right OT seed 16"), first=False),
    )
