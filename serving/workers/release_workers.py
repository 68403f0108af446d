"""The model workers of one release, as the recommender uses them: one connection per worker, one batch at a time on each.

A worker that does not answer in time is killed, and its calls fail; the process that has loaded the release forks a new
worker. All processes end when the object is closed or no longer referenced.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

from config import settings
from serving.__main__ import KERNEL_THREADS
from serving.observability.metrics import Metrics
from serving.workers.call_queue import CallQueue
from serving.workers.model_calls import ModelCall
from serving.workers.release_process import READY
from serving.workers.worker_connection import WorkerConnection, WorkerFailed
from training.data.user_batch import UserBatch

PROCESS = "serving.workers.release_process"
STOP_TIMEOUT_S = 5.0

logger = logging.getLogger(__name__)


class ReleaseNotLoaded(RuntimeError):
    """The process cannot load the release; the message has its reason."""


class ReleaseWorkers:
    """Starts the processes of a release and distributes calls to them; thread-safe.

    Args:
        folder: Release folder.
        count: Number of workers.
        deadline_s: How long one response waits for its channels.
        public_key: PEM file of the key that must have signed the release; empty: signatures are not checked.

    Raises:
        ReleaseNotLoaded: The release is damaged, or a part is missing.
    """

    def __init__(self, folder: Path, count: int, deadline_s: float, public_key: str = "") -> None:
        self._folder, self._count = folder, count
        self._options = [f"--workers={count}", f"--folder={folder}", f"--deadline-s={deadline_s}"]
        self._options.append(f"--public-key={public_key}")
        self._keys = itertools.count()
        self._restart_lock = threading.Lock()
        self._is_closed = self._is_restarting = False
        self._queue = CallQueue()
        self._start()

    @property
    def process_id(self) -> int:
        """Process that has loaded the release; the workers are its children."""
        return self._process.pid

    def call(
        self, metrics: Metrics, timeout_s: float, method: str, *arguments: Any, users: UserBatch | None = None
    ) -> Any:
        """The result of `ModelCalls` in the worker that has the users, or in an idle one; waits while all are busy.

        A call whose worker ends is repeated once, without other calls: one of them may have ended it.

        Args:
            metrics: Where the worker's metrics are counted.
            timeout_s: How long the worker may take.
            method: Method of `Recall` or `Ranking`.
            arguments: Its arguments without release and users.
            users: The request, B = 1, if the method has users.

        Raises:
            WorkerFailed: The worker ended twice, or did not answer in time.
            Exception: What the method raised.
        """
        key, sent = None, None
        if users is not None:
            key = users.get_or_compute(self, lambda: next(self._keys))
            sent = replace(users)  # without its cache
        call = ModelCall(method, arguments, key, sent)
        try:
            answer = self._queue.run(call, timeout_s)
        except WorkerFailed as error:
            self._restart_if_ended()
            if error.is_timeout:
                raise
            answer = self._queue.run(call, timeout_s, is_alone=True)
        for update in answer.updates:
            update.apply(metrics)
        if answer.error is not None:
            raise answer.error
        return answer.result

    def forget_users(self) -> None:
        """Let every worker drop the features of users: now, or after its current calls."""
        self._queue.forget_users()

    def close(self) -> None:
        """End the processes."""
        self._is_closed = True
        self._stop()

    def _start(self) -> None:
        sockets = Path(tempfile.mkdtemp(prefix="segue-models-"))  # accessible for this user only
        address = str(sockets / "calls")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(self._count)
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROCESS, f"--listener={listener.fileno()}", *self._options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                text=True,
                cwd=settings.ROOT,
                env={**os.environ, **KERNEL_THREADS},  # also because a process with further threads must not fork
                start_new_session=True,
            )
        self._stop = weakref.finalize(self, _stop_process, self._process, sockets)
        assert self._process.stdout is not None  # noqa: S101  # narrows the type
        said = ""
        while said != READY:  # libraries may print warnings before
            if not (line := self._process.stdout.readline()):
                self._stop()
                raise ReleaseNotLoaded(
                    f"the models of {self._folder} cannot be loaded: {said or 'the process ended'}; see the log"
                )
            said = line.strip()
        self._queue.replace_workers([WorkerConnection(address) for _ in range(self._count)])

    def _restart_if_ended(self) -> None:
        """Start the processes again in the background if the one that forks the workers has ended."""
        with self._restart_lock:
            if self._is_closed or self._is_restarting or self._process.poll() is None:
                return
            self._is_restarting = True
        logger.error("the process with the models of %s ended; it is started again", self._folder)
        threading.Thread(target=self._restart, name="model-workers-restart", daemon=True).start()

    def _restart(self) -> None:
        try:
            self._stop()
            self._start()
        except Exception:
            logger.exception("the models of %s could not be loaded again", self._folder)
        finally:
            self._is_restarting = False


def _stop_process(process: subprocess.Popen[str], sockets: Path) -> None:
    """Close the standard input of the process, which then ends with its workers."""
    if process.stdin is not None:
        process.stdin.close()
    shutil.rmtree(sockets, ignore_errors=True)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
