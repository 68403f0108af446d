"""Requests of users to erase their data: in force at once, then carried out by `python -m privacy.erase`.

The user is added to the suppression list, after which nothing of them is read or written. A process of its own then erases
what is stored, as the command of the operator does; it is repeated until it succeeds, also after a restart. Later requests
of the user start no erasure. Independent of HTTP.
"""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from config import settings
from config.settings import Settings
from storage import suppression_list, unfinished_erasures
from storage.file_lock import LockHeld, file_lock
from storage.unfinished_erasures import UNSIGNED_EXIT_CODE

ERASE_COMMAND = "privacy.erase"
BUSY_MESSAGE = "another erasure is running; send the request again in a minute"
RETRY_PAUSES_S = (60.0, 600.0, 3600.0)
"""Pauses after consecutive failures; the last one repeats."""
SEARCH_PAUSE_S = 86_400.0
"""Repeated requests start at most one search for data of erased users in this time, in case a copy of it was restored."""

logger = logging.getLogger(__name__)


class ErasureBusy(RuntimeError):
    """The suppression list is being changed; the message names the remedy."""


class ErasureRequests:
    """Accepts requests; thread-safe. `work` carries them out, one erasure at a time, and again for requests that arrive meanwhile.

    Args:
        here: Settings of the home.
        run: Erases all users of the suppression list whose data is found; returns the exit code.
        pauses_s: Pauses after consecutive failures, seconds; the last one repeats.
        search_pause_s: Time after a start or an erasure in which a repeated request starts no search, seconds.
    """

    def __init__(
        self,
        here: Settings,
        run: Callable[[Settings], int] | None = None,
        pauses_s: Sequence[float] = RETRY_PAUSES_S,
        search_pause_s: float = SEARCH_PAUSE_S,
    ) -> None:
        self._here, self._run, self._pauses_s = here, run, pauses_s
        self._search_pause_s, self._searched_at = search_pause_s, time.monotonic()
        self._lock = threading.Lock()
        # An earlier process may not have finished.
        self._is_requested = (here.home / unfinished_erasures.UNFINISHED_FILE).exists()
        self._is_running, self._failures, self._earliest = False, 0, 0.0

    def suppress(self, user_id: str) -> bool:
        """Add the user to the suppression list.

        Returns:
            Whether the request is new, so that `start` must follow; `repeat` follows a request of a suppressed user.

        Raises:
            ErasureBusy: The command is changing the list.
            SuppressionListError, OSError: The list cannot be read or written.
        """
        lock = self._here.home / "run" / "forget.lock"
        with self._lock, ExitStack() as locks:
            try:
                locks.enter_context(file_lock(lock, timeout_s=0))
            except LockHeld as error:
                raise ErasureBusy(BUSY_MESSAGE) from error
            path: Path = self._here.suppression_list
            users = suppression_list.read_suppression_list(path)
            if user_id in users:
                return False
            # First, because a suppressed user whose erasure is not unfinished counts as erased.
            unfinished_erasures.add_unfinished(self._here.home, [user_id])
            users.with_users([user_id]).write(path)
            return True

    def start(self) -> bool:
        """Let `work` erase what is stored of suppressed users at once; False if the command is not installed here."""
        if importlib.util.find_spec(ERASE_COMMAND.partition(".")[0]) is None:
            logger.warning("the package privacy is not installed: run `python -m privacy.erase --suppressed` elsewhere")
            return False
        self._is_requested, self._earliest = True, 0.0
        return True

    def repeat(self, user_id: str) -> bool:
        """Continue the erasure of a suppressed user if it is unfinished; returns whether something is being erased.

        After an erasure that has ended nothing is started, except a search for data that came back, once in a while.

        Raises:
            SuppressionListError: The list of unfinished erasures is damaged.
        """
        if user_id in unfinished_erasures.read_unfinished(self._here.home):
            # Without ending the pause after a failure.
            return self._is_requested or self._is_running or self.start()
        if time.monotonic() - self._searched_at < self._search_pause_s:
            return False
        self._searched_at = time.monotonic()
        return self.start()

    def work(self) -> None:
        """Erase if it was requested, unless it failed a moment ago. Called every second, in a thread of its own."""
        if not self._is_requested or time.monotonic() < self._earliest:
            return
        self._is_requested, self._is_running = False, True
        has_succeeded = self._succeeds()
        self._is_running = False
        if has_succeeded:
            self._failures, self._searched_at = 0, time.monotonic()
            return
        pause_s = self._pauses_s[min(self._failures, len(self._pauses_s) - 1)]
        logger.error("the erasure is repeated in %.0f s", pause_s)
        if not self._is_requested:  # by a user meanwhile, whose request is carried out at once
            self._is_requested, self._earliest = True, time.monotonic() + pause_s
        self._failures += 1

    def _succeeds(self) -> bool:
        try:
            # One of the workers erases at a time, also what the others were asked for meanwhile.
            with file_lock(self._here.home / "run" / "erasing.lock"):
                code = (self._run or _run_erasure)(self._here)
        except OSError:
            logger.exception("the erasure could not be started")
            return False
        if code == UNSIGNED_EXIT_CODE:
            logger.error("users were erased from a release that must be signed again; see %s", _log_file(self._here))
            return True
        if code:
            logger.error("erasing ended with %d; see %s", code, _log_file(self._here))
        return code == 0


def _run_erasure(here: Settings) -> int:
    command = [sys.executable, "-m", ERASE_COMMAND, "--suppressed"]
    log = _log_file(here)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.run(command, cwd=settings.ROOT, stdout=output, stderr=output, check=False).returncode


def _log_file(here: Settings) -> Path:
    return here.home / "logs" / "erase.log"
