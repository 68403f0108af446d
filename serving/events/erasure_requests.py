"""Requests of users to erase their data: in force at once, then carried out by `python -m privacy.erase`.

The user is added to the suppression list, after which nothing of them is read or written. A process of its own then erases
what is stored, as the command of the operator does; it is repeated until it succeeds, also after a restart. Requests of a user whose
data was erased start nothing. Independent of HTTP.
"""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from config import settings
from config.settings import Settings
from storage import suppression_list
from storage.file_lock import LockHeld, file_lock, lock_holder
from storage.suppression_list import UNFINISHED_FILE, UNSIGNED_EXIT_CODE

ERASE_COMMAND = "privacy.erase"
BUSY_MESSAGE = "another erasure is running; send the request again in a minute"
PAUSE_S = 600.0
"""Time until a failed erasure is repeated."""

logger = logging.getLogger(__name__)


class ErasureBusy(RuntimeError):
    """The suppression list is being changed; the message names the remedy."""


class ErasureRequests:
    """Accepts requests; thread-safe. `work` carries out those that are not finished, of earlier processes, too.

    Args:
        here: Settings of the home.
        run: Erases all users of the suppression list whose data is found; returns the exit code.
    """

    def __init__(self, here: Settings, run: Callable[[Settings], int] | None = None) -> None:
        self._here, self._run = here, run
        self._lock, self._earliest = threading.Lock(), 0.0
        self._is_installed = importlib.util.find_spec(ERASE_COMMAND.partition(".")[0]) is not None

    def suppress(self, user_id: str) -> bool:
        """Add the user to the suppression list unless they are in it.

        Returns:
            Whether their data is being erased; if not, it was erased after an earlier request, or the command is not installed here
            and an operator must erase it.

        Raises:
            ErasureBusy: The command is changing the list.
            SuppressionListError, OSError: The list cannot be read or written.
        """
        with self._lock, ExitStack() as locks:
            try:
                locks.enter_context(file_lock(self._erase_lock, timeout_s=0))
            except LockHeld as error:
                raise ErasureBusy(BUSY_MESSAGE) from error
            users = suppression_list.read_suppression_list(self._here.suppression_list)
            if user_id not in users:
                # First, because a suppressed user whose erasure is not unfinished counts as erased.
                suppression_list.add_unfinished(self._here.home, [user_id])
                users.with_users([user_id]).write(self._here.suppression_list)
                self._earliest = 0.0
            return self._is_installed and user_id in suppression_list.read_unfinished(self._here.home)

    def work(self) -> None:
        """Erase what is not finished, unless that failed a moment ago. Called every second, in a thread of its own."""
        unfinished = self._here.home / UNFINISHED_FILE
        if not self._is_installed or not unfinished.exists() or time.monotonic() < self._earliest:
            return
        try:
            # One worker, or an operator, erases at a time, and includes the requests that other workers received meanwhile.
            with file_lock(self._here.home / "run" / "erasing.lock"):
                is_needed = unfinished.exists() and lock_holder(self._erase_lock) is None
                code = (self._run or _run_erasure)(self._here) if is_needed else 0
        except OSError:
            logger.exception("the erasure could not be started")
            code = -1
        if code == UNSIGNED_EXIT_CODE:
            logger.error("users were erased from a release that must be signed again; see %s", _log_file(self._here))
        elif code:
            logger.error(
                "erasing ended with %d, and is repeated in %.0f s; see %s", code, PAUSE_S, _log_file(self._here)
            )
            self._earliest = time.monotonic() + PAUSE_S

    @property
    def _erase_lock(self) -> Path:
        return self._here.home / "run" / "forget.lock"


def _run_erasure(here: Settings) -> int:
    command = [sys.executable, "-m", ERASE_COMMAND, "--suppressed"]
    log = _log_file(here)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.run(command, cwd=settings.ROOT, stdout=output, stderr=output, check=False).returncode


def _log_file(here: Settings) -> Path:
    return here.home / "logs" / "erase.log"
