"""Requests of users to erase their data: in force at once, then carried out by `python -m privacy.erase`.

The user is added to the suppression list, after which nothing of them is read or written. A process of its own then erases
what is stored, as the command of the operator does. Independent of HTTP.
"""

from __future__ import annotations

import fcntl
import importlib.util
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from config import settings
from config.settings import Settings
from storage import suppression_list

ERASE_COMMAND = "privacy.erase"
BUSY_MESSAGE = "another erasure is running; send the request again in a minute"

logger = logging.getLogger(__name__)


class ErasureBusy(RuntimeError):
    """The suppression list is being changed; the message names the remedy."""


class ErasureRequests:
    """Accepts requests; thread-safe. One erasing process runs at a time, and again for requests that arrive meanwhile.

    Args:
        here: Settings of the home.
        run: Erases all users of the suppression list whose data is found; returns the exit code.
    """

    def __init__(self, here: Settings, run: Callable[[Settings], int] | None = None) -> None:
        self._here, self._run = here, run
        self._lock = threading.Lock()
        self._is_requested = False
        self._thread: threading.Thread | None = None

    def suppress(self, user_id: str) -> None:
        """Add the user to the suppression list.

        Raises:
            ErasureBusy: The command is changing the list.
            SuppressionListError, OSError: The list cannot be read or written.
        """
        lock = self._here.home / "run" / "forget.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ErasureBusy(BUSY_MESSAGE) from error
            path: Path = self._here.suppression_list
            suppression_list.read_suppression_list(path).with_users([user_id]).write(path)

    def start(self) -> bool:
        """Erase what is stored of suppressed users, in the background; False if the command is not installed here."""
        if importlib.util.find_spec(ERASE_COMMAND.partition(".")[0]) is None:
            logger.warning("the package privacy is not installed: run `python -m privacy.erase --suppressed` elsewhere")
            return False
        with self._lock:
            self._is_requested = True
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._erase, name="erasing", daemon=True)
                self._thread.start()
        return True

    def join(self) -> None:
        """Wait until nothing is being erased."""
        if self._thread is not None:
            self._thread.join()

    def _erase(self) -> None:
        while True:
            with self._lock:
                if not self._is_requested:
                    self._thread = None
                    return
                self._is_requested = False
            if code := (self._run or _run_erasure)(self._here):
                logger.error("erasing ended with %d; run `python -m privacy.erase --suppressed`", code)


def _run_erasure(here: Settings) -> int:
    command = [sys.executable, "-m", ERASE_COMMAND, "--suppressed"]
    log = here.home / "logs" / "erase.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.run(command, cwd=settings.ROOT, stdout=output, stderr=output, check=False).returncode
