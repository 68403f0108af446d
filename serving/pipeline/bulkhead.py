"""The threads of one recall channel, so that a channel that hangs holds up nobody but itself.

Knows nothing about candidates.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

WorkQueue = queue.SimpleQueue["tuple[Future[Any], Callable[[], Any]] | None"]


class BulkheadExecutor:
    """`threads` daemons that take work in turn; they end with the lane, and with the process even in the middle of work.

    Whoever gives up waiting says so by `abandon`. Until everything abandoned has ended, the lane takes no more work: so a
    hanging channel holds its own threads at most, and nothing queues up behind it.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._queue: WorkQueue = queue.SimpleQueue()
        self._abandoned_count = 0
        self._lock = threading.Lock()
        for number in range(threads):
            target = threading.Thread(
                target=_run_worker, args=(self._queue,), name=f"recall-{name}-{number}", daemon=True
            )
            target.start()
        weakref.finalize(self, _stop_workers, self._queue, threads)

    def submit(self, work: Callable[[], Any]) -> Future[Any] | None:
        """What `work` will have given; None where earlier work was abandoned and goes on still."""
        if self._abandoned_count:
            return None
        future: Future[Any] = Future()
        self._queue.put((future, work))
        return future

    def abandon(self, future: Future[Any]) -> None:
        """Nobody waits for it any more: it is not begun, or what it gives is thrown away."""
        if future.cancel():
            return
        with self._lock:
            self._abandoned_count += 1
        future.add_done_callback(self._on_abandoned_done)

    def _on_abandoned_done(self, _: Future[Any]) -> None:
        with self._lock:
            self._abandoned_count -= 1


def _run_worker(waiting: WorkQueue) -> None:
    while (given := waiting.get()) is not None:
        future, work = given
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
        # Or the last work, and the release that it asked, would live until there is more.
        del given, future, work


def _stop_workers(waiting: WorkQueue, threads: int) -> None:
    for _ in range(threads):
        waiting.put(None)
