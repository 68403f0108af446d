"""Training batches by number, shared out over loader workers, and how long somebody waited for them.

Batch i depends on the seed and on i alone, so sharing out is arithmetic: worker w of W makes the batches of every W-th
step. None is made twice and none is left out, and a `DataLoader` hands them on in the order of the steps. Of each batch a
rank has its own rows (`training.engine.distributed`): whoever makes a batch sees to that. Knows nothing about what is in a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info


class StepBatchDataset(IterableDataset[Any]):
    """The batches of steps `first()` to `steps`, of this worker.

    `first` is asked when iteration begins: a model that was read from a checkpoint knows its step only then.
    """

    def __init__(self, batch_at: Callable[[int], Any], steps: int, first: Callable[[], int] = lambda: 0) -> None:
        self.batch_at, self.steps, self.first_step = batch_at, steps, first

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        for step in range(self.first_step() + worker, self.steps, workers):
            yield self.batch_at(step)


class Prefetcher:
    """The same batches, the next ones made by a thread while the model works on this one.

    What makes them may use no random numbers but its own: those of the process belong to the step that runs.
    """

    def __init__(self, batches: Iterable[Any], buffer_size: int = 2) -> None:
        self.batches, self.buffer_size = batches, buffer_size

    def __iter__(self) -> Iterator[Any]:
        made: Queue[tuple[bool, Any]] = Queue(maxsize=self.buffer_size)
        is_over = Event()
        thread = Thread(target=self._produce, args=(made, is_over), name="batches", daemon=True)
        thread.start()
        try:
            while True:
                is_batch, what = made.get()
                if is_batch:
                    yield what
                elif what is None:
                    return
                else:
                    raise what
        finally:
            is_over.set()
            thread.join()

    def _produce(self, made: Queue[tuple[bool, Any]], is_over: Event) -> None:
        end = None
        try:
            for batch in self.batches:
                if not _put(made, (True, batch), is_over):
                    return
        except BaseException as error:  # whatever it is, the one who takes batches must hear of it
            end = error
        _put(made, (False, end), is_over)


def _put(made: Queue[tuple[bool, Any]], what: tuple[bool, Any], is_over: Event) -> bool:
    """Waits for room; False when nobody takes batches any more."""
    while not is_over.is_set():
        try:
            made.put(what, timeout=0.1)
        except Full:
            continue
        return True
    return False


class DataWaitTimer:
    """The same batches; `seconds` says how long whoever takes them has waited for one so far."""

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
