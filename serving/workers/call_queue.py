"""Calls that wait for a model worker. An idle worker takes the oldest one at once, with others that can run with it.

A call never waits for others while a worker is idle, so batches form only when there are more requests than workers.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from serving.workers.model_calls import ModelAnswer, ModelCall
from serving.workers.worker_connection import WorkerConnection, WorkerFailed

MAX_BATCH = 4
"""Calls that a worker runs as one batch."""


class _QueuedCall:
    """A call of a thread, which waits for its worker, or for the answer if another thread sends the call."""

    def __init__(self, call: ModelCall, timeout_s: float, is_alone: bool) -> None:
        self.call, self.timeout_s = call, timeout_s
        self.group = None if is_alone or call.batch_group is None else (call.batch_group, timeout_s)
        self.is_ready = threading.Event()
        self.worker: WorkerConnection | None = None
        self.answer: ModelAnswer | None = None
        # Arguments of `WorkerFailed`: an exception would refer to this call by its traceback, and keep the release in memory.
        self.failure: tuple[str, bool] = (f"{call.method} was not answered", False)


class CallQueue:
    """Distributes calls to workers; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_QueuedCall] = deque()
        self.workers: list[WorkerConnection] = []
        self._idle: list[WorkerConnection] = []

    def run(self, call: ModelCall, timeout_s: float, is_alone: bool = False) -> ModelAnswer:
        """The answer to a call; waits while all workers are busy.

        Args:
            call: The call, with the features of its user.
            timeout_s: How long the worker may take.
            is_alone: Never run the call in a batch.

        Raises:
            WorkerFailed: The worker ended, or did not answer in time.
        """
        queued = _QueuedCall(call, timeout_s, is_alone)
        with self._lock:
            self._waiting.append(queued)
            self._assign_workers()
        queued.is_ready.wait()
        if queued.worker is not None:
            self._run_batch(queued, queued.worker)
        if queued.answer is None:
            raise WorkerFailed(*queued.failure)
        return queued.answer

    def replace_workers(self, workers: Sequence[WorkerConnection]) -> None:
        """Use these workers from now on."""
        with self._lock:
            self.workers, self._idle = list(workers), list(workers)
            self._assign_workers()

    def forget_users(self) -> None:
        """Let every worker drop the features of users: now, or after its current calls."""
        with self._lock:
            for worker in self.workers:
                worker.is_outdated = True
            for worker in self._idle:
                worker.disconnect()

    def _assign_workers(self) -> None:
        """Give idle workers to the oldest calls, if possible one that has the users of the call."""
        while self._idle and self._waiting:
            queued = self._waiting.popleft()
            worker = next((one for one in self._idle if queued.call.key in one.keys), self._idle[-1])
            self._idle.remove(worker)
            queued.worker = worker
            queued.is_ready.set()

    def _run_batch(self, first: _QueuedCall, worker: WorkerConnection) -> None:
        """Run a call in its worker together with waiting ones, whose threads then return their answers."""
        batch = [first]
        try:
            batch += self._take_companions(first, worker)
            answers = worker.call([one.call for one in batch], first.timeout_s)
            for one, answer in zip(batch, answers, strict=True):
                one.answer = answer
        except WorkerFailed as error:
            for one in batch:
                one.failure = (str(error), error.is_timeout)
        finally:
            self._give_back(worker)
            for one in batch[1:]:
                one.is_ready.set()

    def _take_companions(self, first: _QueuedCall, worker: WorkerConnection) -> list[_QueuedCall]:
        """The oldest waiting calls of the same group, and before them those whose users the worker has."""
        if first.group is None:
            return []
        with self._lock:
            of_group = [one for one in self._waiting if one.group == first.group]
            companions = sorted(of_group, key=lambda one: one.call.key not in worker.keys)[: MAX_BATCH - 1]
            for one in companions:
                self._waiting.remove(one)
        return companions

    def _give_back(self, worker: WorkerConnection) -> None:
        with self._lock:
            if worker.is_outdated or worker not in self.workers:
                worker.disconnect()
            if worker in self.workers:
                self._idle.append(worker)
                self._assign_workers()
