"""Rows are totals of spans; spans of one thread nest; memory is watched on request."""

import mmap
import threading
import time

import numpy as np

from circa.protocols.channel import memory_pair, send_array
from circa.report import Report


def test_rows_are_the_totals_of_their_spans():
    ch, _ = memory_pair()
    report = Report()
    for size in (3, 4):
        with report.measure(ch, "conv", "linear", "offline"):
            send_array(ch, np.zeros(size, np.uint8))
    with report.measure(ch, "relu", "activate", "online"):
        send_array(ch, np.zeros(8, np.uint8))
    assert [(s.layer, s.bytes_sent) for s in report.spans] == [("conv", 3), ("conv", 4), ("relu", 8)]
    row, spans = report.rows["conv", "offline"], [s for s in report.spans if s.layer == "conv"]
    assert row.bytes_sent == sum(s.bytes_sent for s in spans) == 7
    assert row.milliseconds == sum(1e3 * (s.end - s.start) for s in spans)
    assert spans[0].start <= spans[0].end <= spans[1].start


def test_processor_time_leaves_waiting_out():
    ch, _ = memory_pair()
    report = Report()
    with report.measure(ch, "asleep", "linear", "offline"):
        time.sleep(0.05)
    with report.measure(ch, "awake", "linear", "offline"):
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
    asleep, awake = report.spans
    assert asleep.cpu_seconds < 0.02 <= awake.cpu_seconds


def test_a_span_that_fails_is_counted_and_closed():
    ch, _ = memory_pair()
    report = Report()
    try:
        with report.measure(ch, "conv", "linear", "offline"):
            raise ValueError
    except ValueError:
        pass
    assert [s.layer for s in report.spans] == ["conv"]
    assert not report._open


def test_spans_name_their_thread():
    ch, _ = memory_pair()
    report = Report()

    def work() -> None:
        with report.measure(ch, "conv", "linear", "offline"):
            pass

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
    work()
    assert [s.thread for s in report.spans] == ["worker", threading.current_thread().name]


def test_memory_of_a_span_and_of_the_one_around_it():
    ch, _ = memory_pair()
    report = Report(watch_memory=True)
    with report.measure(ch, "outer", "linear", "offline"):
        # mapped, not from the allocator, which may hold pages already
        with report.measure(ch, "large", "linear", "offline"), mmap.mmap(-1, 1 << 26) as pages:
            np.frombuffer(pages, np.uint8)[:] = 1
        with report.measure(ch, "small", "linear", "offline"):
            pass
    peaks = {s.layer: s.peak_bytes for s in report.spans}
    assert peaks["large"] >= peaks["small"] + (1 << 25)
    assert peaks["outer"] >= peaks["large"]


def test_memory_is_not_watched_unasked():
    ch, _ = memory_pair()
    report = Report()
    with report.measure(ch, "conv", "linear", "offline"):
        pass
    assert report.spans[0].peak_bytes == 0


def test_the_largest_stock_is_kept():
    report = Report()
    for nbytes in (5, 7, 2):
        report.store(nbytes)
    assert report.stored_bytes == 7
