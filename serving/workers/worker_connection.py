"""Connection of the recommender to one model worker, which runs one batch of calls at a time."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from serving.workers.model_calls import KEPT_USERS, ModelAnswer, ModelCall

CONNECT_TIMEOUT_S = 30.0


class WorkerFailed(RuntimeError):
    """A call failed because its worker ended or did not answer in time; `is_timeout` for the latter."""

    def __init__(self, message: str, is_timeout: bool = False) -> None:
        super().__init__(message)
        self.is_timeout = is_timeout


class WorkerConnection:
    """Connection to one worker, opened on first use, and the keys of the users that it keeps."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: Connection[Any, Any] | None = None
        self._pid = 0
        self.keys: deque[int] = deque(maxlen=KEPT_USERS)
        self.is_outdated = False  # has features of users that must be dropped

    def call(self, calls: Sequence[ModelCall], timeout_s: float) -> list[ModelAnswer]:
        """The answers of the worker to calls of one `batch_group`, in order.

        Raises:
            WorkerFailed: No answers.
        """
        if self.is_outdated:
            self.disconnect()
        method = calls[0].method
        try:
            connection = self._connection or self._connect()
            connection.send([self._without_known_users(call) for call in calls])
            if not connection.poll(timeout_s):
                os.kill(self._pid, signal.SIGKILL)
                raise WorkerFailed(f"model worker {self._pid} did not answer {method} in {timeout_s:g} s", True)
            answers: list[ModelAnswer] = connection.recv()
        except (OSError, EOFError) as error:
            self.disconnect()
            raise WorkerFailed(f"a model worker ended during {method}: {error!r}") from error
        except BaseException:  # also if a call cannot be sent: its users are in `keys`
            self.disconnect()
            raise
        return answers

    def _without_known_users(self, call: ModelCall) -> ModelCall:
        if call.key is None:
            return call
        if call.key in self.keys:
            return replace(call, users=None)
        self.keys.append(call.key)
        return call

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
