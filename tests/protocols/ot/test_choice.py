"""The choice of k: more on slower lines, less on slower processors."""

import pytest

from circa.protocols import kernels
from circa.protocols.ot import choice
from circa.protocols.ot.softspoken import DEFAULT_K


@pytest.fixture
def level(monkeypatch, request):
    class Kernels:
        @staticmethod
        def level() -> str:
            return str(request.param)

    monkeypatch.setattr(kernels, "native", lambda: None if request.param == "numpy" else Kernels)


@pytest.mark.parametrize(
    ("level", "lan", "wan"), [("vaes", 6, 8), ("aes-ni", 5, 8), ("numpy", 4, 6)], indirect=["level"]
)
def test_named_lines(level, lan, wan):
    assert (choice.best_k(1e9), choice.best_k(1e8)) == (lan, wan)
    assert choice.best_k(16e9) == lan  # nothing is gained on a faster line


@pytest.mark.parametrize("level", ["vaes", "aes-ni", "numpy"], indirect=True)
def test_k_falls_with_the_bandwidth(level):
    chosen = [choice.best_k(10.0**exponent) for exponent in range(5, 11)]
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[0] == 8


@pytest.mark.parametrize("level", ["vaes"], indirect=True)
def test_the_default_is_that_of_a_lan(level):
    assert choice.best_k(1e9) == DEFAULT_K


def test_seconds_by_hand():
    """k = 7: 18 trees of 128 leaves and one of 4 for 128 COTs; 19 bits of 100 Mbit/s."""
    expected = 19 / 1e8 + 1e-9 * (2.3 + 0.77 * (18 * 128 + 4) / 128)
    assert choice.seconds(7, 1e8, "vaes") == pytest.approx(expected)
