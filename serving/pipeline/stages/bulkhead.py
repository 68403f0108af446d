"""Bulkhead: a dedicated thread pool per recall channel, so a slow channel cannot exhaust the threads of the others.

Independent of candidates.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

JobQueue = queue.SimpleQueue["tuple[Future[Any], Callable[[], Any]] | None"]


class BulkheadExecutor:
    """Fixed pool of daemon threads that rejects work while timed-out calls are still running.

    A hanging channel therefore occupies at most its own threads, and no calls queue up behind it. The threads stop when
    the executor is garbage-collected.

    Args:
        name: Channel name, used in thread names.
        threads: Number of worker threads.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._queue: JobQueue = queue.SimpleQueue()
        self._abandoned_count = 0
        self._lock = threading.Lock()
        for number in range(threads):
            target = threading.Thread(
                target=_run_worker, args=(self._queue,), name=f"recall-{name}-{number}", daemon=True
            )
            target.start()
        weakref.finalize(self, _stop_workers, self._queue, threads)

    def submit(self, function: Callable[[], Any]) -> Future[Any] | None:
        """Schedule `function`; return None if an abandoned call is still running (circuit open)."""
        if self._abandoned_count:
            return None
        future: Future[Any] = Future()
        self._queue.put((future, function))
        return future

    def abandon(self, future: Future[Any]) -> None:
        """Give up on a call: cancel it if it has not started, otherwise discard its result."""
        if future.cancel():
            return
        with self._lock:
            self._abandoned_count += 1
        future.add_done_callback(self._on_abandoned_done)

    def _on_abandoned_done(self, _: Future[Any]) -> None:
        with self._lock:
            self._abandoned_count -= 1


def _run_worker(jobs: JobQueue) -> None:
    while (job := jobs.get()) is not None:
        future, function = job
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)
        # Without this, the last job and the release it refers to would stay in memory until the next one.
        del job, future, function


def _stop_workers(jobs: JobQueue, threads: int) -> None:
    for _ in range(threads):
        jobs.put(None)
