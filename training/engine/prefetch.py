"""Training batches by step number: prefetched, with the waiting time measured.

Batch i depends only on the seed and on i. Each distributed rank makes its own rows of a batch
(`training.engine.distributed.rank_slice`); the function that makes batches is responsible for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import Any

from torch.utils.data import IterableDataset


class StepBatchDataset(IterableDataset[Any]):
    """The batches of steps `first_step()` to `steps`.

    `first_step` is called when iteration begins, since a model restored from a checkpoint knows its step only then.
    """

    def __init__(self, batch_at: Callable[[int], Any], steps: int, first_step: Callable[[], int] = lambda: 0) -> None:
        self.batch_at, self.steps, self.first_step = batch_at, steps, first_step

    def __iter__(self) -> Iterator[Any]:
        for step in range(self.first_step(), self.steps):
            yield self.batch_at(step)


class Prefetcher:
    """The same batches, made ahead by a thread while the model trains.

    The iterable that makes them must use its own random generator: the global one belongs to the training step.
    """

    def __init__(self, batches: Iterable[Any], buffer_size: int = 2) -> None:
        self.batches, self.buffer_size = batches, buffer_size

    def __iter__(self) -> Iterator[Any]:
        queue: Queue[tuple[bool, Any]] = Queue(maxsize=self.buffer_size)
        is_stopped = Event()
        thread = Thread(target=self._produce, args=(queue, is_stopped), name="batches", daemon=True)
        thread.start()
        try:
            while True:
                is_batch, message = queue.get()
                if is_batch:
                    yield message
                elif message is None:
                    return
                else:
                    raise message
        finally:
            is_stopped.set()
            thread.join()

    def _produce(self, queue: Queue[tuple[bool, Any]], is_stopped: Event) -> None:
        end = None
        try:
            for batch in self.batches:
                if not _put(queue, (True, batch), is_stopped):
                    return
        except BaseException as error:  # any error is raised again in the consuming thread
            end = error
        _put(queue, (False, end), is_stopped)


def _put(queue: Queue[tuple[bool, Any]], message: tuple[bool, Any], is_stopped: Event) -> bool:
    """Put `message` once there is space; False if the consumer has stopped."""
    while not is_stopped.is_set():
        try:
            queue.put(message, timeout=0.1)
        except Full:
            continue
        return True
    return False


class DataWaitTimer:
    """The same batches; `wait_seconds` is the total time that the consumer has waited for them."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches, self.wait_seconds = batches, 0.0

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.batches)
        while True:
            began = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.wait_seconds += time.monotonic() - began
            yield batch
