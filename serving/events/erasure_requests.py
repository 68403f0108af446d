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
    """Accepts requests; thread-safe. One erasing process runs at a time, and again for requests that arrive meanwhile.

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
        self._requested = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

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

    def repeat(self, user_id: str) -> bool:
        """Continue the erasure of a suppressed user if it is unfinished; returns whether something is being erased.

        After an erasure that has ended nothing is started, except a search for data that came back, once in a while.

        Raises:
            SuppressionListError: The list of unfinished erasures is damaged.
        """
        if user_id not in unfinished_erasures.read_unfinished(self._here.home):
            if time.monotonic() - self._searched_at < self._search_pause_s:
                return False
            self._searched_at = time.monotonic()
        elif (thread := self._thread) is not None and thread.is_alive():
            return True  # without ending the pause after a failure
        return self.start()

    def resume(self) -> None:
        """Continue erasures that an earlier process has not finished."""
        if (self._here.home / unfinished_erasures.UNFINISHED_FILE).exists():
            self.start()

    def start(self) -> bool:
        """Erase what is stored of suppressed users, in the background; False if the command is not installed here."""
        if importlib.util.find_spec(ERASE_COMMAND.partition(".")[0]) is None:
            logger.warning("the package privacy is not installed: run `python -m privacy.erase --suppressed` elsewhere")
            return False
        with self._lock:
            self._requested.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._erase, name="erasing", daemon=True)
                self._thread.start()
        return True

    def join(self) -> None:
        """Wait until nothing is being erased."""
        if (thread := self._thread) is not None:
            thread.join()

    def close(self) -> None:
        """Do not repeat a failed erasure any more; one that is running continues."""
        self._closed = True
        self._requested.set()

    def _erase(self) -> None:
        failures = 0
        while True:
            with self._lock:
                if self._closed or not self._requested.is_set():
                    self._thread = None
                    return
                self._requested.clear()
            if self._succeeds():
                failures, self._searched_at = 0, time.monotonic()
                continue
            pause_s = self._pauses_s[min(failures, len(self._pauses_s) - 1)]
            logger.error("the erasure is repeated in %.0f s", pause_s)
            self._requested.wait(pause_s)
            self._requested.set()
            failures += 1

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
