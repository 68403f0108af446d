"""Progress of `make run`: a status line with step, elapsed time and an estimate, below the printed lines."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from local.airflow_api import TaskState

TYPICAL_SECONDS = {
    "request": 2,
    "land_logs": 19,
    "validate_landed": 6,
    "build_marts": 93,
    "document_marts": 7,
    "validate_marts": 21,
    "encode_content": 32,
    "validate_content": 7,
    "apply_features": 6,
    "materialize": 8,
    "compare_features": 4,
    "list_models": 6,
    "prepare": 24,
    "report_experiment": 3,
    "train_channel": 617,
    "train_collection": 23,
    "train_ranker": 972,
    "train_head": 257,
    "evaluate": 720,
    "release": 10,
}
"""Seconds of a task, all mapped instances together, of `make run LOGS=` with three million plays on two cores. Only their
proportions matter.
"""

OTHER_SECONDS = 0.3
MIN_FRACTION = 0.03  # before, the remaining time is not estimated
MAX_RUNNING_FRACTION = 0.9  # of an instance that runs longer than usual


class PipelineProgress:
    """Finished tasks of the pipeline's DAGs. The instances of a mapped task count as one task.

    Args:
        tasks: DAG id → ids of its tasks.
        clock: Current time in seconds.
    """

    def __init__(self, tasks: Mapping[str, Iterable[str]], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._seconds = {(dag, task): _typical_seconds(task) for dag, ids in tasks.items() for task in ids}
        self._done = dict.fromkeys(self._seconds, 0.0)  # fraction of each task
        self._first_seen: dict[tuple[str, str, int], float] = {}

    @property
    def total(self) -> int:
        """Number of tasks."""
        return len(self._seconds)

    @property
    def finished(self) -> int:
        """Number of tasks whose instances have all ended."""
        return sum(done == 1 for done in self._done.values())

    @property
    def fraction(self) -> float:
        """Done part of the work, 0 to 1, by typical durations."""
        total = sum(self._seconds.values())
        return sum(self._done[task] * seconds for task, seconds in self._seconds.items()) / total if total else 1.0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the pipeline was triggered."""
        return self._clock() - self._started

    @property
    def remaining_s(self) -> float | None:
        """Estimate of the remaining seconds; None at the beginning."""
        fraction = self.fraction
        return None if fraction < MIN_FRACTION else self.elapsed_s * (1 - fraction) / fraction

    def update(self, dag_id: str, instances: Iterable[TaskState]) -> None:
        """Take the states of all task instances of a DAG's run."""
        by_task: dict[str, list[TaskState]] = defaultdict(list)
        for instance in instances:
            by_task[instance.task_id].append(instance)
        for task_id, group in by_task.items():
            if (dag_id, task_id) in self._done:
                parts = [self._done_part(dag_id, instance, len(group)) for instance in group]
                self._done[dag_id, task_id] = sum(parts) / len(parts)

    def finish(self, dag_id: str) -> None:
        """Count every task of the DAG as finished."""
        self._done.update({task: 1.0 for task in self._done if task[0] == dag_id})

    def _done_part(self, dag_id: str, instance: TaskState, instances: int) -> float:
        if instance.state in ("success", "failed", "skipped", "upstream_failed"):
            return 1.0
        if instance.state != "running":
            return 0.0
        key = (dag_id, instance.task_id, instance.map_index)
        runs_for = self._clock() - self._first_seen.setdefault(key, self._clock())
        return min(MAX_RUNNING_FRACTION, runs_for / (_typical_seconds(instance.task_id) / instances))

    def __str__(self) -> str:
        remaining = self.remaining_s
        estimate = "" if remaining is None else f", {format_remaining(remaining)}"
        return f"{self.finished} of {self.total} tasks, {tqdm.format_interval(self.elapsed_s)} elapsed{estimate}"


class StatusLine:
    """Last line of the terminal, repainted every second by a thread, below the lines that `write` prints.

    Use it as a context manager. It goes to standard error, the written lines to standard output.
    """

    def __init__(self, file: TextIO | None = None, interval_s: float = 1.0) -> None:
        self._bar = tqdm(bar_format="{desc}", file=file or sys.stderr, leave=False, dynamic_ncols=True)
        self._describe: Callable[[], str] = str
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._repaint, name="status line", daemon=True)

    def __enter__(self) -> StatusLine:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._bar.close()

    def write(self, line: str) -> None:
        """Print a line on standard output, above the status line."""
        with tqdm.external_write_mode(file=sys.stdout):
            print(line, flush=True)

    def show(self, what: object) -> None:
        """Show `what`: its text is read again at every repaint."""
        self._describe = what.__str__

    def wait_for(self, what: str) -> None:
        """Show what is waited for, with the seconds since this call."""
        started = time.monotonic()
        self._describe = lambda: f"  {what} ({tqdm.format_interval(time.monotonic() - started)} elapsed)"

    def _repaint(self) -> None:
        while not self._stopped.wait(self._interval_s):
            self._bar.set_description_str(self._describe())


def format_remaining(seconds: float) -> str:
    """Remaining time in words, coarse enough for an estimate."""
    return f"about {seconds / 60:.0f} min left" if seconds >= 90 else "less than 2 min left"


def _typical_seconds(task_id: str) -> float:
    return TYPICAL_SECONDS.get(task_id.rsplit(".", 1)[-1], OTHER_SECONDS)
