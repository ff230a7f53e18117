"""Streamed answers: in order, overlapping, bounded; done again with fresh seeds; nothing left behind."""

from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest
from convolution import LAYERS, convolve

from circa.commands import recv_command
from circa.protocols.channel import memory_pair
from circa.protocols.errors import CheckFailed, FramingError, PeerGone, WorkerError
from circa.protocols.linear import he
from circa.protocols.linear.cost import cost
from circa.protocols.linear.parameters import B4096
from circa.protocols.linear.plan import make_plan
from circa.protocols.linear.shape import LinearShape
from circa.protocols.linear.stream import ATTEMPTS, Answers, InThread
from circa.protocols.linear.tasks import Worker
from circa.protocols.prg import Prg
from circa.protocols.shares import RING32

WIDE, CONV = LinearShape.fully_connected(600, 90), LAYERS["3x3"]  # 600 inputs: 6 outputs share a polynomial


class Recorder:
    """Workers that hold tasks back until they are asked to work, and note everything."""

    def __init__(self, worker, count=2, lanes=1, fail=lambda task: None):
        self.count, self.lanes = count, lanes
        self.tasks, self.futures, self.open, self.most = [], [], [], 0
        self._worker, self._fail = worker, fail

    def submit(self, lane, task):
        future = Waiting(self)
        self.tasks.append((lane, task)), self.futures.append(future), self.open.append((task, future))
        self.most = max(self.most, sum(not future.done() for future in self.futures))
        return future

    def work(self, newest_first=False):
        """Do everything that waits."""
        for task, future in self.open[::-1] if newest_first else self.open:
            if future.cancelled():
                continue
            error = self._fail(task)
            if error is None:
                try:
                    future.set_result(self._worker.run(task))
                except CheckFailed as failure:
                    future.set_exception(failure)
            else:
                future.set_exception(error)
        self.open.clear()

    @property
    def seeds(self):
        return [seed for _, task in self.tasks for seed in task.seeds]


class Waiting(Future):
    """Its work is done when somebody waits for it."""

    def __init__(self, recorder):
        super().__init__()
        self.recorder = recorder

    def result(self, timeout=None):
        if not self.done():
            self.recorder.work(newest_first=True)
        return super().result(timeout)


class Pair:
    """Both roles in one thread: the messages of a session wait in its channels."""

    def __init__(self, shapes, batch=1):
        rng = np.random.default_rng(5)
        self.left, self.right = memory_pair(0.2)
        self.left.record(), self.right.record()
        self.batch, self.shapes = batch, shapes
        self.weights = {str(i): rng.integers(-90, 90, shape.weight_shape) for i, shape in enumerate(shapes)}
        self.prepared = {
            str(i): he.LinearSender.prepare(RING32, shape, self.weights[str(i)])
            for i, shape in enumerate(shapes)
        }
        self.r = [RING32.uniform(Prg(bytes(16)), (batch, *shape.input_shape)) for shape in shapes]
        self.sender, self.receiver = (
            he.LinearSender(RING32, Prg(b"the sender's prg")),
            he.LinearReceiver(RING32),
        )
        self.receiver.setup(self.right)
        self.sender.setup(self.left)

    def request(self):
        for shape, r in zip(self.shapes, self.r, strict=True):
            self.receiver.request(self.right, shape, r)

    def answers(self, workers):
        return Answers(self.left, workers, self.sender._prg)

    def answer(self, answers):
        return [
            self.sender.answer(answers, name, prepared, self.batch)
            for name, prepared in self.prepared.items()
        ]

    def run(self, workers):
        with self.answers(workers) as answers:
            masks = self.answer(answers)
            answers.finish()
        return masks

    def check(self, masks):
        for i, shape in enumerate(self.shapes):
            share = self.receiver.receive(self.right, shape, self.batch)
            expected = convolve(shape, self.weights[str(i)], self.r[i], RING32)
            np.testing.assert_array_equal(RING32.add(masks[i], share), expected)

    @property
    def worker(self):
        return Worker(self.prepared)

    @property
    def sent(self):
        return len(self.left.sent)


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("batch", [1, 9])
def test_answers_leave_in_order_whatever_order_they_are_done_in(lanes, batch):
    pair = Pair([WIDE, CONV, WIDE], batch)
    workers = Recorder(pair.worker, count=8, lanes=lanes)
    pair.request()
    pair.check(pair.run(workers))
    assert len(set(workers.seeds)) == len(workers.seeds) == pair.sent
    assert {lane for lane, _ in workers.tasks} == set(range(lanes))


def test_an_output_block_always_goes_to_the_same_lane():
    pair = Pair([WIDE], 40)
    workers = Recorder(pair.worker, count=3, lanes=3)
    pair.request()
    with pair.answers(workers) as answers:
        pair.answer(answers)
    assert make_plan(WIDE, 40, B4096).output_blocks >= 3
    places = {(m, lane) for lane, task in workers.tasks for m, _, _ in task.responses()}
    assert len(places) == make_plan(WIDE, 40, B4096).output_blocks
    assert {lane for _, lane in places} == {0, 1, 2}


def test_few_output_blocks_are_shared_by_all_lanes():
    shape = LinearShape(2, 28, 28, 2, (3, 3))
    pair = Pair([shape], 12)
    workers = Recorder(pair.worker, count=3, lanes=3)
    pair.request()
    masks = pair.run(workers)
    assert make_plan(shape, 12, B4096).output_blocks < 3
    assert {lane for lane, _ in workers.tasks} == {0, 1, 2}
    pair.check(masks)


def test_layers_overlap():
    """Tasks of the second layer are out while none of the first is done."""
    pair = Pair([CONV, CONV])
    workers = Recorder(pair.worker, count=16)
    pair.request()
    with pair.answers(workers) as answers:
        masks = pair.answer(answers)
        assert {task.layer for task, _ in workers.open} == {"0", "1"}
        assert pair.sent == 0
        answers.finish()
    pair.check(masks)


def test_spans_follow_the_work_and_end_with_it():
    """One at a time; in one thread of its own each layer has one."""
    for make in (InThread, lambda worker: Recorder(worker, count=8)):
        pair, said, depth = Pair([CONV, WIDE]), [], []

        @contextmanager
        def span(layer, said=said, depth=depth):
            said.append(layer), depth.append(layer)
            assert len(depth) == 1
            yield
            depth.pop()

        pair.request()
        with Answers(pair.left, make(pair.worker), pair.sender._prg, span) as answers:
            pair.answer(answers)
            answers.finish()
            assert not depth
        assert (said == ["0", "1"]) == (make is InThread)
        assert set(said) == {"0", "1"}


def test_a_response_that_is_done_leaves_with_the_next_request():
    pair = Pair([CONV, CONV])
    workers = Recorder(pair.worker, count=16)
    pair.receiver.request(pair.right, CONV, pair.r[0])
    with pair.answers(workers) as answers:
        pair.sender.answer(answers, "0", pair.prepared["0"], 1)
        assert pair.sent == 0
        workers.work()
        with pytest.raises(PeerGone):  # the second layer's requests never come
            pair.sender.answer(answers, "1", pair.prepared["1"], 1)
    assert pair.sent == cost(CONV, 1).messages_down


def test_outstanding_tasks_are_bounded():
    pair = Pair([WIDE, WIDE, WIDE])
    workers = Recorder(pair.worker, count=2)
    pair.request()
    masks = pair.run(workers)
    assert len(workers.tasks) > 12
    assert workers.most == 8
    pair.check(masks)


@pytest.mark.parametrize("failures", [1, ATTEMPTS - 1])
def test_a_failed_task_is_done_again_with_fresh_seeds(failures):
    pair = Pair([WIDE])
    workers = Recorder(
        pair.worker,
        fail=lambda task: OSError("killed") if task.output_block == 3 and task.attempt < failures else None,
    )
    pair.request()
    pair.check(pair.run(workers))
    assert len(set(workers.seeds)) == len(workers.seeds) == pair.sent + failures
    repeated = [task for _, task in workers.tasks if task.output_block == 3]
    assert [task.attempt for task in repeated] == list(range(failures + 1))


def test_a_task_that_fails_too_often_ends_the_session_and_cancels_the_others():
    pair = Pair([WIDE])
    workers = Recorder(pair.worker, fail=lambda task: OSError("secret") if task.output_block == 2 else None)
    pair.request()
    with pytest.raises(WorkerError, match="3 times at layer '0' \\(OSError") as failure:
        pair.run(workers)
    assert "secret" not in str(failure.value)
    assert all(future.done() for future in workers.futures)
    assert pair.sent == 2  # what came before it


@pytest.mark.parametrize("missing", ["one", "all"])
def test_too_few_requests_end_the_session_and_cancel_the_tasks(missing):
    pair = Pair([CONV, WIDE])
    workers = Recorder(pair.worker, count=16)
    pair.request()
    for _ in range({"one": 1, "all": cost(WIDE, 1).messages_up}[missing]):
        pair.right._outbox.queue.pop()
    with pytest.raises(PeerGone), pair.answers(workers) as answers:
        pair.answer(answers)
    assert len(workers.futures) == cost(CONV, 1).messages_down
    assert all(future.cancelled() for future in workers.futures)


def test_a_request_too_many_is_no_message_that_anybody_expects():
    pair = Pair([CONV])
    pair.request()
    pair.right.send(pair.right.sent[-1])
    pair.check(pair.run(InThread(pair.worker)))
    with pytest.raises(FramingError, match=f"expected a message of 8 bytes, got {B4096.request_bytes}"):
        recv_command(pair.left)


def test_a_malformed_request_ends_the_session_at_once():
    """Of another size, or with a value that is not reduced: refused, never tried again."""
    for fault, error in ((lambda m: m[:-1], FramingError), (lambda m: b"\xff" * len(m), CheckFailed)):
        pair = Pair([WIDE])
        workers = Recorder(pair.worker)
        pair.request()
        pair.right._outbox.queue[-1] = fault(pair.right._outbox.queue[-1])
        with pytest.raises(error):
            pair.run(workers)
        assert all(future.done() for future in workers.futures)
        assert all(task.attempt == 0 for _, task in workers.tasks)
        assert pair.sent == 0


def test_a_thread_of_ones_own_and_others_give_the_same_bytes():
    """The seeds decide, not who works."""
    sent = []
    for make in (InThread, lambda worker: Recorder(worker, count=5)):
        pair = Pair([CONV])
        if sent:  # the same requests as before: encryption is random
            for message in sent[0][0]:
                pair.right.send(message)
            pair.sender.setup(pair.left)
        else:
            pair.request()
        masks = pair.run(make(pair.worker))
        sent.append((list(pair.right.sent), list(pair.left.sent), masks))
    assert sent[0][1] == sent[1][1]
    np.testing.assert_array_equal(sent[0][2][0], sent[1][2][0])
