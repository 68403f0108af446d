"""The model workers of one release, as the recommender uses them: one connection per worker, one call at a time on each.

A worker that does not answer in time is killed, and its call fails; the process that has loaded the release forks a new
worker. All processes end when the object is closed or no longer referenced.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import deque
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from config import settings
from serving.__main__ import KERNEL_THREADS
from serving.observability.metrics import Metrics
from serving.workers.model_calls import KEPT_USERS, ModelAnswer, ModelCall
from serving.workers.release_process import READY
from training.data.user_batch import UserBatch

PROCESS = "serving.workers.release_process"
CONNECT_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0

logger = logging.getLogger(__name__)


class WorkerFailed(RuntimeError):
    """A call failed because its worker ended or did not answer in time; `is_timeout` for the latter."""

    def __init__(self, message: str, is_timeout: bool = False) -> None:
        super().__init__(message)
        self.is_timeout = is_timeout


class ReleaseNotLoaded(RuntimeError):
    """The process cannot load the release; the message has its reason."""


class _Worker:
    """Connection to one worker, opened on first use, and the keys of the users that it keeps."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: Connection[Any, Any] | None = None
        self._pid = 0
        self.keys: deque[int] = deque(maxlen=KEPT_USERS)
        self.is_outdated = False  # has features of users that must be dropped

    def call(self, call: ModelCall, timeout_s: float) -> ModelAnswer:
        """The answer of the worker.

        Raises:
            WorkerFailed: No answer.
        """
        if self.is_outdated:
            self.disconnect()
        try:
            connection = self._connection or self._connect()
            is_known = call.key in self.keys
            if call.key is not None and not is_known:
                self.keys.append(call.key)
            connection.send(replace(call, users=None) if is_known else call)
            if not connection.poll(timeout_s):
                os.kill(self._pid, signal.SIGKILL)
                raise WorkerFailed(f"model worker {self._pid} did not answer {call.method} in {timeout_s:g} s", True)
            answer: ModelAnswer = connection.recv()
        except (OSError, EOFError) as error:
            self.disconnect()
            raise WorkerFailed(f"a model worker ended during {call.method}: {error!r}") from error
        except WorkerFailed:
            self.disconnect()
            raise
        return answer

    def _connect(self) -> Connection[Any, Any]:
        with contextlib.ExitStack() as on_error:
            client = on_error.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(self._address)
            connection: Connection[Any, Any] = Connection(client.detach())
            on_error.callback(connection.close)
            if not connection.poll(CONNECT_TIMEOUT_S):
                raise WorkerFailed(f"no model worker accepted a connection in {CONNECT_TIMEOUT_S:g} s", True)
            self._pid = connection.recv()
            on_error.pop_all()
        self._connection = connection
        return connection

    def disconnect(self) -> None:
        """Close the connection; the worker drops the features of users."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self.is_outdated = None, False
        self.keys.clear()


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
        self._is_idle = threading.Condition()
        self._is_closed = self._is_restarting = False
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._start()

    @property
    def process_id(self) -> int:
        """Process that has loaded the release; the workers are its children."""
        return self._process.pid

    def call(
        self, metrics: Metrics, timeout_s: float, method: str, *arguments: Any, users: UserBatch | None = None
    ) -> Any:
        """The result of `ModelCalls` in the worker that has the users, or in an idle one; waits while all are busy.

        A call whose worker ends is repeated once.

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
            answer = self._attempt(call, timeout_s)
        except WorkerFailed as error:
            self._restart_if_ended()
            if error.is_timeout:
                raise
            answer = self._attempt(call, timeout_s)
        for update in answer.updates:
            update.apply(metrics)
        if answer.error is not None:
            raise answer.error
        return answer.result

    def forget_users(self) -> None:
        """Let every worker drop the features of users: now, or after its current call."""
        with self._is_idle:
            for worker in self._workers:
                worker.is_outdated = True
            for worker in self._idle:
                worker.disconnect()

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
        with self._is_idle:
            self._workers = [_Worker(address) for _ in range(self._count)]
            self._idle = list(self._workers)
            self._is_idle.notify_all()

    def _restart_if_ended(self) -> None:
        """Start the processes again in the background if the one that forks the workers has ended."""
        with self._is_idle:
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

    def _attempt(self, call: ModelCall, timeout_s: float) -> ModelAnswer:
        worker = self._take(call.key)
        try:
            return worker.call(call, timeout_s)
        finally:
            self._give_back(worker)

    def _take(self, key: int | None) -> _Worker:
        with self._is_idle:
            while not self._idle:
                self._is_idle.wait()
            worker = next((one for one in self._idle if key is not None and key in one.keys), self._idle[-1])
            self._idle.remove(worker)
            return worker

    def _give_back(self, worker: _Worker) -> None:
        with self._is_idle:
            if worker.is_outdated or worker not in self._workers:
                worker.disconnect()
            if worker in self._workers:
                self._idle.append(worker)
                self._is_idle.notify()


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
