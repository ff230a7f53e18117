"""Tasks: pure functions of plain data; a worker holds requests within its limit and names what it lacks."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from circa.protocols.channel import memory_pair
from circa.protocols.errors import CheckFailed, WorkerError
from circa.protocols.linear import he
from circa.protocols.linear.parameters import B4096
from circa.protocols.linear.plan import make_plan
from circa.protocols.linear.shape import LinearShape
from circa.protocols.linear.tasks import Task, Wave, Worker
from circa.protocols.prg import Prg
from circa.protocols.shares import RING32

SHAPE = LinearShape.fully_connected(5000, 3)  # two requests
WEIGHTS = np.random.default_rng(1).integers(-90, 90, SHAPE.weight_shape)
ONE = B4096.ciphertext_bytes


@pytest.fixture(scope="module")
def messages():
    """A public key and the requests of a batch."""
    left, right = memory_pair()
    receiver = he.LinearReceiver(RING32)
    receiver.setup(right)
    receiver.request(right, SHAPE, RING32.uniform(Prg(bytes(16)), (1, *SHAPE.input_shape)))
    count = make_plan(SHAPE, 1, B4096).requests
    assert count == 2
    return [left.recv(B4096.request_bytes) for _ in range(1 + count)]


@pytest.fixture
def worker():
    return new_worker()


def new_worker(**limits):
    return Worker({"fc": he.LinearSender.prepare(RING32, SHAPE, WEIGHTS)}, **limits)


def task(messages, wave=b"wave", key=b"key", seed=bytes(16)):
    return Task("fc", 1, 0, 0, 1, 0, (seed,), Wave(wave, key, messages[0], tuple(messages[1:])))


def test_a_task_survives_pickling_and_depends_on_nothing_else(worker, messages):
    made = task(messages)
    assert pickle.loads(pickle.dumps(made)) == made
    first = worker.run(made)
    assert first == worker.run(pickle.loads(pickle.dumps(made))) == new_worker().run(made)
    assert first != worker.run(task(messages, seed=b"another seed ..."))


def test_requests_are_parsed_once(worker, messages, monkeypatch):
    parsed = []
    backend = worker._layers["fc"].backend
    request = type(backend).request
    monkeypatch.setattr(type(backend), "request", lambda self, m: parsed.append(m) or request(self, m))
    for seed in (bytes(16), b"another seed ..."):
        worker.run(task(messages, seed=seed))
    assert parsed == messages
    worker.run(task(messages, wave=b"next"))
    assert parsed == [*messages, *messages[1:]]


def test_a_wave_can_be_named_once_it_is_held(worker, messages):
    made = task(messages)
    named = replace(made, wave=made.wave.named())
    assert len(pickle.dumps(named)) < 500 < len(pickle.dumps(made))
    with pytest.raises(WorkerError, match="does not hold"):
        worker.run(named)
    assert worker.run(made) == worker.run(named)


def test_held_requests_are_bounded(messages):
    worker = new_worker(held_bytes=5 * ONE)
    for i in range(4):
        worker.run(task(messages, wave=bytes([i])))
        assert worker._used == sum(held.size for held in worker._held.values()) <= 5 * ONE
    assert list(worker._held) == [b"\2", b"key", b"\3"]
    tiny = new_worker(held_bytes=0)
    assert tiny.run(task(messages)) == worker.run(task(messages))
    assert len(tiny._held) == 2


def test_an_unknown_layer_is_named(worker, messages):
    with pytest.raises(WorkerError, match="no layer 'conv'"):
        worker.run(replace(task(messages), layer="conv"))


def test_values_out_of_range_are_refused_each_time(worker, messages):
    spoilt = [messages[0], messages[1], b"\xff" * len(messages[2])]
    for _ in range(2):
        with pytest.raises(CheckFailed, match="not reduced"):
            worker.run(task(spoilt))
