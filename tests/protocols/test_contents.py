"""The table of costs that opens `circa.protocols` is what the protocols' own tests compare to the wire."""

import re

import pytest

import circa.protocols
from circa.protocols import relu
from circa.protocols.relu import WINDOWED, Activation
from circa.protocols.shares import PRIME31, RING32
from circa.protocols.sign.window import Window

ELEMENTS = 4096
NUMBERS = r"\s+([\d.]+)" * 6
ROWS = re.findall(rf"^    ([a-z-]+)\s+(ring|prime){NUMBERS}$", circa.protocols.__doc__ or "", re.MULTILINE)


def test_every_protocol_has_a_row() -> None:
    assert sorted(name for name, *_ in ROWS) == sorted(relu.NAMES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_row(row: tuple[str, ...]) -> None:
    name, modulus, *numbers = row
    act = Activation(
        RING32 if modulus == "ring" else PRIME31,
        channels=1,
        positions=ELEMENTS,
        shift=8,
        window=Window(6) if name in WINDOWED else None,
        truncate_bits=12 if name == "circa" else 0,
        knots=() if name == "rescale" else (0,),
        coefs=() if name == "rescale" else (1,),
    )
    cost = relu.by_name(name).cost(act, 1)
    measured = [cost.online.down, cost.online.up, cost.offline.down, cost.offline.up, cost.and_gates]
    per_element = [value / ELEMENTS for value in measured]
    per_element.insert(2, cost.online.rounds)
    assert per_element == [float(number) for number in numbers]
