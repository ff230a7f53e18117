"""`circa debug`: the right differences, the culprit named, one machine only."""

import json
import socket

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import circa.debug
from circa.accuracy import with_windows
from circa.cli import app
from circa.debug import STAMP, compare_layers, loopback_pair
from circa.errors import ParameterError
from circa.protocols.relu.table import Table


def test_private_equals_simulated_and_is_near_the_others(converted, network, test_images):
    rows = compare_layers(converted, test_images[:3], network)
    assert [row.layer for row in rows] == [op.name for op in converted.program.operations]
    assert [row.unequal for row in rows] == [0] * len(rows)
    first = rows[0]
    assert (first.kind, first.elements, first.fixed_largest) == ("input", 72, 0.0)
    assert first.plaintext_largest == pytest.approx(2**-13, rel=0.1)  # 12 fractional bits, rounded
    for row in rows:
        assert row.plaintext_rms is not None
        assert 0 <= row.fixed_rms <= row.fixed_largest <= 0.2 * row.largest + 1e-3
        assert 0 < row.plaintext_rms <= row.plaintext_largest <= 0.2 * row.largest + 1e-3


def test_coarse_windows_depart_further(converted, test_images):
    fine, coarse = (
        compare_layers(with_windows(converted, n), test_images[:8], private=False) for n in (8, 2)
    )
    assert fine[-1].unequal is None
    assert coarse[-1].fixed_rms > 5 * fine[-1].fixed_rms > 0


def test_a_wrong_layer_is_the_first_one_that_differs(converted, test_images, monkeypatch):
    honest, calls = Table.online_sender, []

    def off_by_one(self, ch, act, z_s, material):
        calls.append(act)
        y_s = honest(self, ch, act, z_s, material)
        return y_s + np.uint32(len(calls) == 2)

    monkeypatch.setattr(Table, "online_sender", off_by_one)
    rows = compare_layers(converted, test_images[:1])
    wrong = [row.layer for row in rows if row.unequal]
    assert wrong[0] == converted.program.activations[1].name


def test_simulated_shares_run_no_party(converted, test_images, monkeypatch):
    monkeypatch.setattr(circa.debug, "both_parties", None)
    rows = compare_layers(converted, test_images[:2], private=False)
    assert {row.unequal for row in rows} == {None}
    assert {row.plaintext_largest for row in rows} == {None}


def test_in_memory_opens_no_socket(converted, test_images, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert compare_layers(converted, test_images[:1])[-1].unequal == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_over_loopback(converted, test_images, address):
    assert compare_layers(converted, test_images[:1], address=address)[-1].unequal == 0


@pytest.mark.parametrize("address", ["192.0.2.7:7766", "0.0.0.0", "8.8.8.8:1", "10.0.0.1:22"])
def test_other_hosts_are_refused_before_anything_is_opened(converted, test_images, address, monkeypatch):
    for name in ("create_connection", "create_server"):
        monkeypatch.setattr(socket, name, None)
    with pytest.raises(ParameterError, match="does not run across hosts"):
        compare_layers(converted, test_images[:1], address=address)


def test_a_name_that_also_means_another_host_is_refused(monkeypatch):
    def resolve(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("127.0.0.1", "192.0.2.7")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ParameterError, match="both\\.example is not this machine"):
        loopback_pair("both.example")


def test_a_stranger_on_the_port_is_refused(monkeypatch):
    honest = socket.socket.accept
    monkeypatch.setattr(socket.socket, "accept", lambda self: (honest(self)[0], ("127.0.0.1", 1)))
    with pytest.raises(ParameterError, match="another process connected"):
        loopback_pair("127.0.0.1")


def test_a_failing_party_fails_the_run(converted, test_images, monkeypatch):
    def fail(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(Table, "online_sender", fail)
    with pytest.raises(RuntimeError, match="broken"):
        compare_layers(converted, test_images[:1])


def test_too_many_images(converted):
    with pytest.raises(ParameterError, match="give at most"):
        compare_layers(converted, torch.zeros(1 << 20, 1).expand(-1, 72).reshape(-1, 2, 6, 6))


def test_command_is_stamped(converted, test_images, tmp_path):
    converted.save(tmp_path / "small.circa")
    np.save(tmp_path / "images.npy", test_images.numpy())
    command = ["debug", str(tmp_path / "small.circa"), str(tmp_path / "images.npy"), "--count", "2"]
    text = CliRunner().invoke(app, command, env={"COLUMNS": "160"})
    assert text.exit_code == 0, text.output
    assert STAMP in text.stderr
    assert "INSECURE" in text.stdout
    assert "equals the simulation bit for bit" in text.stdout
    found = json.loads(CliRunner().invoke(app, [*command, "--simulate", "--json"]).stdout)
    assert found["insecure"] == STAMP
    assert (found["private"], found["images"], len(found["per_layer"])) == (False, 2, 10)
    refused = CliRunner().invoke(app, [*command, "--address", "192.0.2.7:1"])
    assert refused.exit_code == 1
    assert "does not run across hosts" in refused.stderr.replace("\n", " ")
    both = CliRunner().invoke(app, [*command, "--address", "127.0.0.1", "--simulate"])
    assert "leave --address out" in both.stderr


def test_command_fails_where_the_parties_are_wrong(converted, test_images, tmp_path, monkeypatch):
    honest = Table.online_sender
    monkeypatch.setattr(Table, "online_sender", lambda *a: honest(*a) + np.uint32(1))
    converted.save(tmp_path / "small.circa")
    np.save(tmp_path / "images.npy", test_images.numpy())
    done = CliRunner().invoke(app, ["debug", str(tmp_path / "small.circa"), str(tmp_path / "images.npy")])
    assert done.exit_code == 1
    assert "DIFFERS from the simulation" in done.stdout
