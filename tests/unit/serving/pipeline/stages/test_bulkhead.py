"""Bulkhead of a channel: accepted and rejected calls, hanging calls, and the end of its threads."""

import gc
import threading
import weakref

import pytest

from serving.pipeline.stages.recall import BulkheadExecutor


def test_calls_run_in_parallel_and_propagate_errors():
    lane, both = BulkheadExecutor("side", 2), threading.Barrier(2, timeout=30)
    meetings = [lane.submit(both.wait) for _ in range(2)]
    assert sorted(meeting.result() for meeting in meetings) == [0, 1]
    with pytest.raises(ZeroDivisionError):
        lane.submit(lambda: 1 / 0).result()


def test_abandoned_queued_call_never_starts():
    lane, go, begun = BulkheadExecutor("order", 1), threading.Event(), []
    first = lane.submit(go.wait)
    second = lane.submit(lambda: begun.append(2))
    lane.abandon(second)
    third = lane.submit(lambda: begun.append(3))
    go.set()
    third.result()
    assert first.result() and begun == [3]


def test_rejects_calls_until_abandoned_ones_end():
    lane, begun, go = BulkheadExecutor("hang", 2), threading.Event(), threading.Event()
    hanging = lane.submit(lambda: (begun.set(), go.wait()))
    assert begun.wait(30)
    lane.abandon(hanging)
    assert lane.submit(lambda: 1) is None
    go.set()
    hanging.result()
    while (later := lane.submit(lambda: 2)) is None:
        pass
    assert later.result() == 2


def test_threads_end_with_the_executor_and_keep_no_references():
    class Release:
        pass

    lane, release = BulkheadExecutor("gone", 2), Release()
    gone = weakref.ref(release)
    lane.submit(lambda held=release: None).result()
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("recall-gone-")]
    assert len(threads) == 2
    del lane, release
    gc.collect()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads) and gone() is None
