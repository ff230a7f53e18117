"""Peers: environments and their errors, rows from what a script prints, the bound of the agreement.

The real ones are measured where they are installed (`circa bench peers install`); a stand-in, run by this
Python, shows the rest.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from circa.bench.cases import Case
from circa.bench.inputs import FRACTION_BITS, sample
from circa.bench.peers import CRYPTEN, PEERS, SPU, Peer, PeerError, Setting, agreement, environments, run
from circa.protocols.errors import ParameterError
from circa.protocols.sign.window import fault_probability

ELEMENTS = 512
UNIT = 1 << FRACTION_BITS
SETTING = Setting("stand-in", (), "2^64", 16, "nothing at all")

SCRIPT = """
import argparse, json, numpy as np
parser = argparse.ArgumentParser()
for name in ("--inputs", "--output", "--repeats"):
    parser.add_argument(name)
options = parser.parse_args()
z = np.load(options.inputs)
np.save(options.output, np.maximum(z, 0) / 2.0**16)
run = {"seconds": 0.5, "cpu_seconds": 0.25, "line_bytes": 1024, "rounds": 9}
phases = {"offline": [run] * int(options.repeats), "online": [run] * int(options.repeats), "peak_bytes": 7}
print("a line of a library that talks")
print(json.dumps({"version": "1.0", "parties": [phases, phases]}))
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> Peer:
    """A peer whose environment is this Python."""
    monkeypatch.setenv("CIRCA_PEERS", str(tmp_path / "peers"))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    pins = tmp_path / "pins.txt"
    pins.write_text("nothing==1\n")
    peer = Peer("stand-in", str(script), (("-r", str(pins)),), (), (SETTING,), split=True)
    home = environments.folder(peer)
    (home / "bin").mkdir(parents=True)
    python = home / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (home / "circa-requirements.sha256").write_text(environments._hash(peer))
    return peer


def test_a_row_from_what_a_script_prints(stand_in, monkeypatch):
    monkeypatch.setattr(run, "can_isolate", lambda: False)
    [(row, setting, results)] = run.measure(stand_in, ELEMENTS, 3)
    assert setting is SETTING
    assert np.array_equal(results * UNIT, np.maximum(sample(ELEMENTS), 0))
    assert (row.protocol, row.assumes, row.online_rounds) == ("stand-in", "nothing at all", 9)
    assert row.online_us == 1e6 * (0.25 + 0.25) / ELEMENTS  # both parties
    assert row.loopback_online_us == 1e6 * 0.5 / ELEMENTS  # at the same time
    assert row.relus_per_second == pytest.approx(1e6 / row.online_us)
    assert row.online_bytes is None  # the interface is shared with whatever else runs here
    assert json.loads(json.dumps(row.to_dict()))["version"] == "1.0"


def test_bytes_are_counted_where_the_interface_is_its_own(stand_in):
    if not run.can_isolate():
        pytest.skip("no network namespaces for this user: peers' bytes cannot be told from others'")
    [(row, _, _)] = run.measure(stand_in, ELEMENTS, 1)
    assert row.online_bytes == row.offline_bytes == 1024 / ELEMENTS


def test_a_script_that_fails_and_one_that_is_not_installed(stand_in, monkeypatch):
    Path(stand_in.script).write_text("raise ValueError('no such field')")
    with pytest.raises(PeerError, match=r"stand-in failed: .*ValueError: no such field"):
        run.measure(stand_in, ELEMENTS, 1)
    monkeypatch.setenv("CIRCA_PEERS", "/nonexistent")
    with pytest.raises(PeerError, match="circa bench peers install stand-in"):
        run.measure(stand_in, ELEMENTS, 1)


def test_an_environment_of_other_requirements_is_not_installed(stand_in):
    assert environments.is_installed(stand_in)
    Path(stand_in.requirements[0][-1]).write_text("nothing==2\n")
    assert not environments.is_installed(stand_in)


def test_names_and_requirements():
    with pytest.raises(ParameterError, match="unknown peer 'cripten'; peers: crypten, spu"):
        environments.by_name("cripten")
    for peer in PEERS.values():
        for arguments in peer.requirements:
            pins = (Path(environments.__file__).parent / arguments[-1]).read_text().splitlines()
            assert all("==" in line for line in pins if not line.startswith("#"))


def test_no_python_that_has_its_wheels(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CIRCA_PEERS", str(tmp_path / "peers"))
    with pytest.raises(PeerError, match=r"packages for Python 2\.7 only"):
        environments.install(replace(SPU, pythons=("2.7",)))


@pytest.mark.slow
def test_an_install_without_network_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("CIRCA_PEERS", str(tmp_path / "peers"))
    for name, value in {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "1",
        "PIP_CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PeerError, match=r"pip install for spu failed: .*is this machine offline"):
        environments.install(SPU)
    assert not environments.is_installed(SPU)
    assert not environments.folder(SPU).exists()


@pytest.mark.parametrize(("shift", "fraction_bits"), [(0, 16), (8, 16), (0, 8), (8, 8)])
def test_agreement_is_tight(shift, fraction_bits):
    z = sample(ELEMENTS)
    cut = 1 << (16 - fraction_bits)
    theirs = np.maximum(z // cut * cut, 0) / UNIT
    setting = replace(SETTING, fraction_bits=fraction_bits)
    case = Case("delphi", ELEMENTS, shift)
    found = agreement.compare(case, setting, theirs)
    assert found.agrees
    assert found.bound == ((1 << shift) * (shift > 0) + cut * (cut > 1)) / UNIT
    wrong = theirs.copy()
    wrong[np.argmax(z)] += found.bound * 2 + 1 / UNIT
    assert not agreement.compare(case, setting, wrong).agrees


def test_agreement_excuses_the_fault_interval_alone():
    z = sample(ELEMENTS)
    theirs = np.maximum(z, 0) / UNIT
    found = agreement.compare(Case("table", ELEMENTS, n=4), SETTING, theirs)
    assert found.agrees
    assert found.largest_difference == 0
    assert 0 < found.in_fault_interval < ELEMENTS / 2
    assert not agreement.compare(Case("table", ELEMENTS, n=4), SETTING, -theirs).agrees


def test_agreement_bounds_the_fault_interval_too():
    z, case = sample(ELEMENTS), Case("table", ELEMENTS, n=4)
    window = case.activation().window
    inside = np.flatnonzero(fault_probability(z, window.gain[0], window.bits, window.mode) > 0)
    i = inside[np.abs(z[inside]).argmax()]
    theirs = np.maximum(z, 0) / UNIT
    theirs[i] += (3 * abs(z[i]) + 1) / UNIT  # further off than a wrong sign can explain
    assert not agreement.compare(case, SETTING, theirs).agrees


@pytest.mark.slow
@pytest.mark.parametrize("peer", [CRYPTEN, SPU], ids=lambda peer: peer.name)
def test_the_real_peer_agrees_with_ours(peer):
    if not environments.is_installed(peer):
        pytest.skip(f"not installed: circa bench peers install {peer.name}")
    for row, setting, results in run.measure(peer, 4096, 1):
        found = agreement.compare(Case("table", 4096, n=8), setting, results)
        assert found.agrees, (row.label, found)
