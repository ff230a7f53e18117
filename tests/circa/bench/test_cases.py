"""The grid of cases, and what is refused before anything runs."""

import pytest

from circa.bench.cases import MAX_ELEMENTS, RELUS, Case, grid
from circa.bench.inputs import LIMIT, sample
from circa.protocols import relu
from circa.protocols.errors import ParameterError


def test_every_relu_protocol_is_measured():
    assert set(RELUS) == set(relu.NAMES) - {"rescale"}


def test_one_case_for_each_parameter():
    labels = [case.label for case in grid(elements=8, bits=(4, 6), truncate=(12, 17))]
    assert labels == [
        "delphi",
        "circa-sign",
        "circa-stochastic",
        "circa k=12",
        "circa k=17",
        "window-garbled n=4",
        "window-garbled n=6",
        "table n=4",
        "table n=6",
    ]
    wide = grid(("window-garbled", "table"), 8, bits=(6, 11))
    assert [case.label for case in wide] == ["window-garbled n=6", "window-garbled n=11", "table n=6"]
    assert len(grid(("table", "table"), 8, bits=(6, 6), shifts=(0, 8))) == 2


def test_the_window_covers_the_inputs():
    window = Case("table", 8, n=6).activation().window
    assert all(LIMIT <= reach < 2 * LIMIT for reach in window.reach())
    z = sample(1 << 14)
    assert abs(z).max() <= LIMIT
    assert abs(z.mean()) < 0.05 * z.std()  # centred
    assert 0.05 < (abs(z) > 2 * z.std()).mean() < 0.06 or abs(z).max() > 3 * z.std()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"protocols": ("delphy",)}, "unknown ReLU protocol 'delphy'; protocols: .*delphi"),
        ({"bits": (4, 9), "protocols": ("table",)}, "window bits n = 9 is outside 2 to 8"),
        ({"bits": (1,)}, "window bits n = 1 is outside 2 to 16"),
        ({"bits": (17,)}, "window bits n = 17 is outside 2 to 16"),
        ({"truncate": (30,)}, "truncated bits k = 30 is outside 1 to 29"),
        ({"truncate": (0,)}, "truncated bits k = 0 is outside 1 to 29"),
        ({"elements": 0}, f"elements = 0 is outside 1 to {MAX_ELEMENTS}"),
        ({"shifts": (25,)}, "shift = 25 is outside 0 to 24"),
    ],
)
def test_refused_with_the_value_and_the_range(arguments, text):
    with pytest.raises(ParameterError, match=text):
        grid(**{"elements": 8, **arguments})
