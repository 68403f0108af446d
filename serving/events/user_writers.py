"""Single writer per user: all events of a user are applied by the same thread, in order.

Users are assigned to threads by a hash of their id; a cluster does the same with the partitions of a broker. A thread applies
all queued jobs together, so that events of many users take one read and one write of the store.
Independent of how events are applied.
"""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from serving.events.event_schema import Event

ApplyEvents = Callable[[Mapping[str, list[Event]]], None]
MAX_BATCH_JOBS = 256

_Job = tuple[str, list[Event], "Future[None]"]


class UserWriters:
    """Threads that apply events (user → events in order), each user's always in the same thread."""

    def __init__(self, apply: ApplyEvents, writers: int = 1) -> None:
        self._apply = apply
        self.completed_batches = 0
        """Number of batches that were applied or rejected; it grows while the store responds."""
        self.waiting_events = 0
        """Number of submitted events that are neither applied nor rejected."""
        self._queues: list[queue.Queue[_Job | None]] = [queue.Queue() for _ in range(writers)]
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(jobs,), name=f"user-writer-{number}", daemon=True)
            for number, jobs in enumerate(self._queues)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, user_id: str, events: list[Event]) -> Future[None]:
        """Apply events after those submitted earlier for this user; the future completes when the next read sees them."""
        future: Future[None] = Future()
        with self._lock:
            self.waiting_events += len(events)
        self._queues[zlib.crc32(user_id.encode("utf-8", "surrogatepass")) % len(self._queues)].put(
            (user_id, events, future)
        )
        return future

    def close(self) -> None:
        """Apply queued jobs, then stop."""
        for jobs in self._queues:
            jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, jobs: queue.Queue[_Job | None]) -> None:
        is_last = False
        while not is_last:
            waiting = [jobs.get()]
            while len(waiting) < MAX_BATCH_JOBS and waiting[-1] is not None:
                try:
                    waiting.append(jobs.get_nowait())
                except queue.Empty:
                    break
            is_last = waiting[-1] is None
            if together := [job for job in waiting if job is not None]:
                self._apply_together(together)

    def _apply_together(self, jobs: list[_Job]) -> None:
        by_user: dict[str, list[_Job]] = {}
        for job in jobs:
            by_user.setdefault(job[0], []).append(job)
        try:
            self._apply(
                {user: [event for _, events, _ in user_jobs for event in events] for user, user_jobs in by_user.items()}
            )
        except ValueError as error:
            # An invalid event or damaged rows, not a failing store: apply the other jobs one by one.
            if len(jobs) > 1:
                for job in jobs:
                    self._apply_together([job])
            else:
                self._complete(jobs, error)
        except Exception as error:
            self._complete(jobs, error)
        else:
            self._complete(jobs, None)

    def _complete(self, jobs: list[_Job], error: Exception | None) -> None:
        with self._lock:
            self.completed_batches += 1
            self.waiting_events -= sum(len(events) for _, events, _ in jobs)
        for _, _, future in jobs:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
