"""The figure: files that are what they say, and errors that help."""

import importlib.util

import pytest

from circa.bench import figure
from circa.bench.rows import Row


def row(protocol: str, **fields) -> Row:
    return Row(protocol, "", 64, shift=0, online_us=2.0, online_us_min=1.0, online_us_max=3.0, **fields)


ROWS = [
    row("delphi", client_stored_bytes=8000),
    row("circa-sign", client_stored_bytes=5000),
    row("circa-stochastic", client_stored_bytes=2500, k=0),
    row("circa", client_stored_bytes=1900, k=12),
    row("window-garbled", client_stored_bytes=250, n=6),
    row("table", client_stored_bytes=11, n=4),
    row("table", client_stored_bytes=11, n=6),
]


def test_png_and_svg_with_every_series(tmp_path):
    png, svg = figure.draw(ROWS, tmp_path / "new")
    assert png.read_bytes().startswith(b"\x89PNG")
    text = svg.read_text()
    for needle in ("Delphi", "window-garbled", "truncated bits k", "bits of the window n", "8,000"):
        assert f"<!-- {needle}" in text, needle  # matplotlib draws text as paths and comments it


def test_the_same_rows_give_the_same_picture(tmp_path):
    first, second = (figure.draw(ROWS, tmp_path / name)[1].read_bytes() for name in "ab")
    assert first == second


def test_part_of_the_rows_is_enough(tmp_path):
    assert figure.draw(ROWS[-2:], tmp_path)[0].is_file()
    with pytest.raises(figure.FigureError, match="nothing to draw"):
        figure.draw(ROWS[:1], tmp_path)


def test_no_matplotlib(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(figure.FigureError, match=r"pip install 'circa\[plot\]'"):
        figure.draw(ROWS, tmp_path)
