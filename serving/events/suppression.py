"""Which users were forgotten, for everything that the service does: it happens in a turn, and a turn sees one list.

The list is a file that somebody else changes (`python -m privacy.erase`). Once every turn that began with the list of
before has ended, nothing of a forgotten user is written any more; then what is kept in memory is dropped, and the list is
acknowledged, so that whoever forgets may erase what is on the disk. Knows nothing about requests or events.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage import suppression_list
from storage.suppression_list import SuppressionList, SuppressionListError

POLL_INTERVAL_S = 1.0
ACKNOWLEDGEMENT_FILE = "forgotten.json"

logger = logging.getLogger(__name__)


class _ListVersion:
    """One list, and how many turns see it."""

    def __init__(self, users: SuppressionList) -> None:
        self.users, self.readers = users, 0


class SuppressionListFollower:
    """Follows the list; thread-safe.

    Args:
        file: the list, `SEGUE_HOME/forgotten.json`.
        state: the folder of the acknowledgement, which the list of the start needs no turn for.

    Raises:
        ForgottenError: the list is damaged. Later the service goes on with the one of before.
    """

    def __init__(self, file: Path, state: Path) -> None:
        self._file, self._acknowledgement_file = file, state / ACKNOWLEDGEMENT_FILE
        self._readers_changed = threading.Condition()
        self._stop = threading.Event()
        self._on_change: Callable[[SuppressionList], None] = lambda _: None
        self._thread = threading.Thread(target=self._poll_forever, name="forgetting", daemon=True)
        self._content = suppression_list.read_content(file)
        self._version = _ListVersion(suppression_list.parse_content(self._content, file))
        self._acknowledge()

    @contextmanager
    def snapshot(self) -> Iterator[SuppressionList]:
        """Who was forgotten; whatever is written of a user is written within a turn that does not have them."""
        with self._readers_changed:
            known = self._version
            known.readers += 1
        try:
            yield known.users
        finally:
            with self._readers_changed:
                known.readers -= 1
                self._readers_changed.notify_all()

    def start(self, drop: Callable[[SuppressionList], None]) -> None:
        """Follow the list from now on; `drop` is called with every new one, when no turn sees an older one any more."""
        self._on_change = drop
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        with self._readers_changed:
            self._readers_changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def reload(self) -> None:
        """Take up a list that has changed, and acknowledge it.

        Raises:
            ForgottenError, OSError: the list cannot be read; the one of before holds.
        """
        content = suppression_list.read_content(self._file)
        if content == self._content:
            return
        users = suppression_list.parse_content(content, self._file)
        with self._readers_changed:
            before, self._version = self._version, _ListVersion(users)
            self._readers_changed.wait_for(lambda: not before.readers or self._stop.is_set())
        if self._stop.is_set():
            return
        self._on_change(users)
        self._content = content
        self._acknowledge()
        logger.info("%d users are forgotten: their events are refused, and they are answered as nobody", len(users))

    def _acknowledge(self) -> None:
        draft = self._acknowledgement_file.with_suffix(".writing")
        draft.write_text(json.dumps({"process": os.getpid(), "list": suppression_list.content_digest(self._content)}))
        draft.replace(self._acknowledgement_file)

    def _poll_forever(self) -> None:
        while not self._stop.wait(POLL_INTERVAL_S):
            try:
                self.reload()
            except (SuppressionListError, OSError):
                logger.exception("who was forgotten since cannot be read; whom the list of before has stays forgotten")
            except Exception:
                logger.exception("what is known of forgotten users could not be dropped; it is tried again")


def read_acknowledgement(state: Path) -> str:
    """The digest of the list that the service has taken up; empty where there is none."""
    try:
        return str(json.loads((state / ACKNOWLEDGEMENT_FILE).read_text())["list"])
    except (FileNotFoundError, ValueError, KeyError):
        return ""
