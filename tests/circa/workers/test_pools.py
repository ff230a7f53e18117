"""Every kind of workers gives W r - s exactly; a process that dies is replaced; nothing stays behind."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from itertools import count as counter
from pathlib import Path

import numpy as np
import pytest
from convolution import convolve
from programs import Builder, geometry, weights

from circa import workers
from circa.errors import ParameterError, WorkerError
from circa.program import Linear, Pool, Reshape
from circa.protocols.linear import he
from circa.protocols.linear.stream import Answers
from circa.protocols.linear.tasks import Task, Wave, Worker
from circa.protocols.linear.weights import Prepared
from circa.protocols.prg import Prg
from circa.protocols.shares import RING32
from circa.workers.pools import InProcess, Lanes, Threads
from harness import run_pair

BATCH = 2


def network():
    """Two layers of many output blocks, and one of one."""
    b = Builder((12, 14, 14), 8)
    x = b.add(Linear, "conv1", 0, geometry=geometry((12, 14, 14), 24, 3), weight_bits=7)
    x = b.add(Linear, "conv2", x, geometry=geometry((24, 12, 12), 20, 3), weight_bits=7)
    x = b.add(Pool, "pool", x, kernel=(10, 10), stride=(10, 10), frac_bits=29)
    x = b.add(Reshape, "flatten", x, shape=(20,))
    b.add(Linear, "fc", x, geometry=geometry((20, 1, 1), 3), weight_bits=0)
    return b.program()


PROGRAM = network()
WEIGHTS = weights(PROGRAM)


@pytest.fixture(scope="module")
def prepared():
    return workers.prepare(PROGRAM, WEIGHTS)


@pytest.fixture(scope="module")
def processes(prepared):
    pool = Lanes.of_processes(prepared, 2, 1 << 28)
    yield pool
    pool.close()


@pytest.fixture(params=["in process", "threads", "processes"])
def pool(request, prepared):
    if request.param == "processes":
        yield request.getfixturevalue("processes")
        return
    worker = Worker(prepared)
    pool = InProcess(worker) if request.param == "in process" else Threads(worker, 2)
    yield pool
    pool.close()


class Watched:
    """A pool, and every task that went to it; `before` is called with each."""

    def __init__(self, pool, before=lambda task: None):
        self.count, self.lanes, self.tasks = pool.count, pool.lanes, []
        self._pool, self._before = pool, before

    def submit(self, lane, task):
        self.tasks.append(task)
        self._before(task)
        return self._pool.submit(lane, task)


def run(pool, prepared, batch=BATCH):
    """All layers of the program in one stream, checked; returns the number of responses."""
    layers = {op.name: op.geometry for op in PROGRAM.linear}
    r = {name: RING32.uniform(Prg(bytes(16)), (batch, *shape.input_shape)) for name, shape in layers.items()}

    def sender(ch):
        role = he.LinearSender(RING32, Prg(b"the sender's prg"))
        role.setup(ch)
        with Answers(ch, pool, role._prg) as answers:
            masks = [role.answer(answers, name, prepared[name], batch) for name in layers]
            answers.finish()
        return masks

    def receiver(ch):
        role = he.LinearReceiver(RING32)
        role.setup(ch)
        for name, shape in layers.items():
            role.request(ch, shape, r[name])
        return [role.receive(ch, shape, batch) for shape in layers.values()]

    masks, shares, transcript = run_pair(sender, receiver, 60)
    for s, share, (name, shape) in zip(masks, shares, layers.items(), strict=True):
        expected = convolve(shape, WEIGHTS[f"{name}.weight"], r[name], RING32)
        np.testing.assert_array_equal(RING32.add(s, share), expected)
    return len(transcript.left_sent)


def test_every_kind_of_workers_is_exact(pool, prepared):
    watched = Watched(pool)
    assert run(watched, prepared) == sum(len(task.seeds) for task in watched.tasks)


def test_a_killed_process_is_replaced_and_its_tasks_done_again(processes, prepared, caplog):
    victim = processes._lanes[1].ready.result()

    def kill(task):
        """Halt it before its first task, so that it dies with one."""
        if len(watched.tasks) in (1, 4):
            os.kill(victim, signal.SIGSTOP if len(watched.tasks) == 1 else signal.SIGKILL)

    watched = Watched(processes, kill)
    with caplog.at_level(logging.WARNING, "circa.workers"):
        responses = run(watched, prepared)
    again = [task for task in watched.tasks if task.attempt > 0]
    assert again
    assert "worker 2 of 2 (processes) died" in caplog.text
    seeds = [seed for task in watched.tasks for seed in task.seeds]
    assert len(set(seeds)) == len(seeds) == responses + sum(len(task.seeds) for task in again)
    replacement = processes._lanes[1].ready.result(60)
    assert replacement != victim
    assert victim not in {child.pid for child in multiprocessing.active_children()}
    assert run(processes, prepared) == responses


def test_a_process_that_hangs_is_killed_and_its_tasks_done_again(prepared, caplog):
    pool = Lanes.of_processes(prepared, 2, 1 << 28, limit=2.0)
    victim = next(child for child in multiprocessing.active_children() if child.pid == pool.processes[1])
    watched = Watched(pool, lambda task: len(watched.tasks) == 1 and os.kill(victim.pid, signal.SIGSTOP))
    rescue = threading.Timer(40, victim.kill)  # so that this test fails instead of hanging with it
    rescue.start()
    try:
        with caplog.at_level(logging.WARNING, "circa.workers"):
            run(watched, prepared)
            assert "worker 2 of 2 (processes) gave no result for 2 s and is killed" in caplog.text
            caplog.clear()
            pool._lanes[1].kill_if_silent(0.0)  # it has no tasks now
            assert not caplog.text
        seeds = [seed for task in watched.tasks for seed in task.seeds]
        assert (
            len(set(seeds)) == len(seeds) > sum(len(task.seeds) for task in watched.tasks if not task.attempt)
        )
        assert pool._lanes[1].ready.result() != victim.pid
    finally:
        rescue.cancel()
        victim.kill()
        pool.close()


def test_requests_travel_to_a_process_once(processes, prepared, monkeypatch):
    lane, shipped = processes._lanes[0], []
    submit = lane._executor.submit
    monkeypatch.setattr(lane._executor, "submit", lambda f, task: shipped.append(task) or submit(f, task))
    run(processes, prepared)
    whole = [task.wave.name for task in shipped if task.wave.requests]
    assert len(whole) == len(set(whole)) == len({task.wave.name for task in shipped}) < len(shipped)


def test_weights_divide_the_memory_and_what_does_not_fit_is_prepared_anew(prepared, monkeypatch):
    shares = []
    monkeypatch.setattr(workers.pools.Lanes, "__init__", lambda self, count, new, *texts: shares.append(new))
    Lanes.of_processes(prepared, 4, 1 << 20)
    executor = shares[0](0)
    assert executor._initargs[1] == 1 << 18
    executor.shutdown()
    bounded = workers.prepare(PROGRAM, WEIGHTS, memory=1 << 17)
    run(InProcess(Worker(bounded)), bounded)
    assert bounded["conv1"]._cache.used <= 1 << 17


def test_closing_ends_the_processes_and_refuses_further_tasks(prepared):
    pool = Lanes.of_processes(prepared, 2, 1 << 20)
    pids = {lane.ready.result() for lane in pool._lanes}
    assert pids <= {child.pid for child in multiprocessing.active_children()}
    pool.close()
    pool.close()
    assert not pids & {child.pid for child in multiprocessing.active_children()}
    task = Task("fc", 1, 0, 0, 1, 0, (bytes(16),), Wave(b"", b"", b"", ()))
    for closed in (pool, Threads(Worker(prepared), 1)):
        closed.close()
        with pytest.raises(WorkerError, match="have ended"):
            closed.submit(0, task).result()


def test_threads_work_at_the_same_time(prepared):
    """Two threads work on two tasks at one time: each waits for the other."""
    meeting, arrivals = threading.Barrier(2, timeout=20), counter()

    class Meeting(Worker):
        def run(self, task):
            if next(arrivals) < 2:
                meeting.wait()
            return super().run(task)

    pool = Threads(Meeting(prepared), 2)
    assert run(pool, prepared) > 2
    pool.close()


@dataclass
class Engine:
    parallel: bool  # works in threads


def test_what_is_started(prepared, monkeypatch):
    started = []
    monkeypatch.setattr(Lanes, "of_processes", lambda *a: started.append(a))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)))
    monkeypatch.setattr(
        workers.Prepared, "backend", property(lambda self: type("Seal", (), {"parallel": False}))
    )
    assert isinstance(workers.start(prepared), InProcess)
    assert isinstance(workers.start(prepared, 1), InProcess)
    workers.start(prepared, 3, 1 << 20)
    assert started == [(prepared, 3, 1 << 20)]
    monkeypatch.setattr(Prepared, "backend", property(lambda self: Engine(parallel=True)))
    for count, threads in ((None, 6), (2, 2)):
        pool = workers.start(prepared, count)
        assert isinstance(pool, Threads)
        assert pool.count == threads
        pool.close()
    assert isinstance(workers.start(prepared, 1), InProcess)
    with pytest.raises(ParameterError, match=r"workers takes .* not 0"):
        workers.start(prepared, 0)


UNGUARDED = """
import sys
sys.path[:0] = {path!r}
from programs import residual, weights
from circa import errors, workers
prepared = workers.prepare(residual(), weights(residual()))
try:
    workers.Lanes.of_processes(prepared, 2, 1 << 20)
except errors.ParameterError as error:
    print("refused:", error)
"""


def test_a_script_without_a_guard_is_told(tmp_path, root):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED.format(path=[str(root / "tests")]))
    command = [sys.executable, "-P", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "refused: no workers (processes) could start" in done.stdout
    assert "__main__" in done.stdout


ORPHANS = """
import os, signal, sys, time
sys.path[:0] = {path!r}
if __name__ == "__main__":
    from programs import residual, weights
    from circa import workers
    pool = workers.Lanes.of_processes(workers.prepare(residual(), weights(residual())), 2, 1 << 20)
    print(*pool.processes, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_end_with_a_server_that_was_killed(tmp_path, root):
    script = tmp_path / "script.py"
    script.write_text(ORPHANS.format(path=[str(root / "tests")]))
    with subprocess.Popen([sys.executable, "-P", str(script)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pids = [int(pid) for pid in server.stdout.readline().split()]
        assert len(pids) == 2
        server.stdout.read()  # until the last worker has let go of it
    for pid in pids:
        status = Path(f"/proc/{pid}/stat")
        assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"
