"""Progress of `make run`: a status line with finished tasks and elapsed time, below the printed lines."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from local.airflow_api import TaskState

ENDED = ("success", "failed", "skipped", "upstream_failed")
"""States of a task instance that has ended."""


class PipelineProgress:
    """Finished tasks of the pipeline's DAGs. The instances of a mapped task count as one task.

    Args:
        tasks: DAG id → ids of its tasks.
    """

    def __init__(self, tasks: Mapping[str, Collection[str]]) -> None:
        self._started = time.monotonic()
        self._total = sum(map(len, tasks.values()))
        self._finished: dict[str, int] = {}

    @property
    def finished(self) -> int:
        """Number of tasks whose instances have all ended."""
        return sum(self._finished.values())

    def update(self, dag_id: str, instances: Sequence[TaskState]) -> None:
        """Take the states of all task instances of a DAG's run."""
        unfinished = {instance.task_id for instance in instances if instance.state not in ENDED}
        self._finished[dag_id] = len({instance.task_id for instance in instances} - unfinished)

    def __str__(self) -> str:
        elapsed = tqdm.format_interval(time.monotonic() - self._started)
        return f"{self.finished} of {self._total} tasks, {elapsed} elapsed"


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
