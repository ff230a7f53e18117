"""`circa bench` as a user types it."""

import json

import pytest
from typer.testing import CliRunner

from circa.cli import app

SMALL = ("bench", "relu", "--elements", "64", "--repeats", "1")


def circa(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_json_with_rows_environment_and_figures(tmp_path):
    done = circa(
        *SMALL,
        "--protocol",
        "delphi",
        "--protocol",
        "table",
        "--bits",
        "6",
        "--figure",
        str(tmp_path),
        "--json",
    )
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    delphi, table = result["rows"]
    assert (delphi["protocol"], delphi["and_gates"], table["protocol"], table["n"]) == (
        "delphi",
        240,
        "table",
        6,
    )
    assert table["ratios"]["online_us"] == delphi["online_us"] / table["online_us"]
    assert {"cpu", "cores", "native_kernels", "commit", "numpy", "python"} <= set(result["environment"])
    assert result["settings"]["repeats"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["relu_cost.png", "relu_cost.svg"]


def test_tables_for_people(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    done = circa(*SMALL, "--protocol", "table", "--bits", "4,6", "--shift", "0,8")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("table n=6") == 4  # two tables, two shifts
    assert "everything per ReLU" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--protocol", "rely"), "unknown ReLU protocol 'rely'"),
        (("--bits", "4,x"), "--bits takes integers separated by commas, got '4,x'"),
        (("--protocol", "table", "--bits", "9"), "window bits n = 9 is outside 2 to 8"),
        (("--truncate", "30"), "truncated bits k = 30 is outside 1 to 29"),
        (("--elements", "0"), "elements = 0 is outside 1 to"),
        (("--repeats", "0"), "repeats = 0 is outside 1 to"),
        (("--peer", "tenseal"), "unknown peer 'tenseal'; peers: crypten, spu"),
    ],
)
def test_bad_input_is_one_line(arguments, text):
    done = circa(*SMALL, *arguments)
    assert done.exit_code == 1
    assert text in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.output


def test_a_missing_peer_is_not_installed_unasked(monkeypatch, tmp_path):
    monkeypatch.setenv("CIRCA_PEERS", str(tmp_path))
    done = circa(*SMALL, "--peer", "crypten", "--json")
    assert done.exit_code == 1
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "PeerError"
    assert "circa bench peers install crypten" in error["message"]
    listed = json.loads(circa("bench", "peers", "list", "--json").stdout)["peers"]
    assert [(peer["peer"], peer["installed"]) for peer in listed] == [("crypten", False), ("spu", False)]
    assert not list(tmp_path.iterdir())
