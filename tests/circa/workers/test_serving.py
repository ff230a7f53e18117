"""A server with workers: the same inference bit for bit, a worker killed; nothing left when it ends."""

import json
import multiprocessing
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from command import command
from programs import residual
from torch import nn

import circa
from circa.cli.serve import MEMORY_MB
from circa.errors import ParameterError, RemoteError
from circa.offline import _waits
from circa.protocols.kernels import native
from circa.protocols.linear.weights import Prepared
from circa.workers import MEMORY
from circa.workers.pools import Lanes, Threads


@pytest.fixture(scope="module")
def converted() -> circa.ConvertedModel:
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(4, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 8, 3), nn.Flatten(), nn.Linear(8 * 100, 5)
    )
    return circa.convert(
        network.eval(), torch.randn(32, 4, 12, 12, generator=torch.Generator().manual_seed(4))
    )


@dataclass
class Engine:
    parallel: bool


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An engine that holds Python's lock, until it is undone."""
    monkeypatch.setattr(Prepared, "backend", property(lambda self: Engine(parallel=False)))
    return monkeypatch


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 4, 12, 12, generator=torch.Generator().manual_seed(5))


def test_only_layers_without_an_activation_between_wait_for_answers(
    converted: circa.ConvertedModel,
) -> None:
    assert _waits(residual()) == set()
    assert _waits(converted.program) == {"4"}


def check(server: circa.Server, converted: circa.ConvertedModel) -> None:
    """Two clients at one time, and again from what is kept ready."""
    failures: list[BaseException] = []

    def client() -> None:
        try:
            with circa.connect(server.address, keep_shares=True) as session:
                for count in (2, 1):
                    x = images(count)
                    private = session.infer(x)
                    assert torch.equal(private, converted(x, client_shares=session.last_shares))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_threads_serve_two_clients(converted: circa.ConvertedModel) -> None:
    with circa.Server(converted, port=0, workers=2) as server:
        if isinstance(server._workers, Threads):  # with the native kernels
            assert server.workers == "2 workers (threads)"
        check(server, converted)
    assert not [t for t in threading.enumerate() if t.name.startswith("circa-worker")]


def test_processes_serve_two_clients_and_one_dies(
    converted: circa.ConvertedModel, locked: pytest.MonkeyPatch
) -> None:
    server = circa.Server(converted, port=0, workers=2)
    locked.undo()
    with server:
        pool = server._workers
        assert isinstance(pool, Lanes)
        check(server, converted)
        os.kill(pool.processes[0], signal.SIGKILL)
        check(server, converted)
    assert not multiprocessing.active_children()


def test_a_server_whose_workers_ended_tells_the_client(converted: circa.ConvertedModel) -> None:
    with circa.Server(converted, port=0, workers=2) as server, circa.connect(server.address) as session:
        session.prepare(1)
        server._workers.close()
        with pytest.raises(RemoteError, match="the server's workers failed"):
            session.prepare(1)


def test_a_port_in_use_leaves_no_workers(converted: circa.ConvertedModel, locked: pytest.MonkeyPatch) -> None:
    with circa.Server(converted, port=0, workers=1) as first:
        port = int(first.address.rpartition(":")[2])
        with pytest.raises(ParameterError, match="cannot listen"):
            circa.Server(converted, port=port, workers=2)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("kernels", ["0", "1"])
def test_the_command_ends_at_ctrl_c_without_a_word_of_its_workers(
    converted: circa.ConvertedModel, tmp_path: Path, kernels: str
) -> None:
    """SIGINT goes to the whole group of processes, as from a terminal."""
    assert MEMORY == MEMORY_MB * 1e6
    converted.save(tmp_path / "net.circa")
    serve = command("serve", tmp_path / "net.circa", "--port", 0, "--json", "--workers", 2, "--memory", 64)
    environment = {**os.environ, "CIRCA_NATIVE": kernels, "PYTHONWARNINGS": "error"}
    with subprocess.Popen(
        serve,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        started = json.loads(process.stdout.readline())
        threads = kernels == "1" and native() is not None
        assert started["workers"] == f"2 workers ({'threads' if threads else 'processes'})"
        with circa.connect(started["address"]) as session:
            session.infer(images(1))
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(20) == 0
    assert said.splitlines()[-1] == "stopped"
    assert len(said.splitlines()) == 1 or native() is None  # which is said, once
