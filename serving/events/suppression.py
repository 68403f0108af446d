"""Follows the suppression list of erased users, with snapshot semantics: an operation sees one version of the list.

`python -m privacy.erase` changes the list. When all operations that began with the previous version have ended, no data of
an erased user is written anymore. Then cached data is dropped, and the worker reports the digest of the new version, after which
the eraser may rewrite the files on the disk. Independent of requests or events.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage import suppression_list
from storage.suppression_list import SuppressionList, SuppressionListError

POLL_INTERVAL_S = 1.0

logger = logging.getLogger(__name__)


class _ListVersion:
    """A version of the list and the number of operations that use it."""

    def __init__(self, users: SuppressionList) -> None:
        self.users, self.readers = users, 0


class SuppressionListFollower:
    """Reloads the list when it changes; thread-safe.

    Args:
        file: The list, `SEGUE_HOME/forgotten.json`.

    Raises:
        SuppressionListError: The list is damaged at the start. Later, the previous version stays in use.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._readers_changed = threading.Condition()
        self._stop = threading.Event()
        self._on_change: Callable[[SuppressionList], None] = lambda _: None
        self._thread = threading.Thread(target=self._poll_forever, name="forgetting", daemon=True)
        self._content = suppression_list.read_content(file)
        self._version = _ListVersion(suppression_list.parse_content(self._content, file))
        self._reload_lock = threading.Lock()

    @property
    def users(self) -> SuppressionList:
        """The current version."""
        return self._version.users

    @property
    def digest(self) -> str:
        """Digest of the version that all operations use, whose users have left the caches."""
        return suppression_list.content_digest(self._content)

    @contextmanager
    def snapshot(self) -> Iterator[SuppressionList]:
        """The current version for one operation. Data of a user may be written only inside a snapshot without that user."""
        with self._readers_changed:
            version = self._version
            version.readers += 1
        try:
            yield version.users
        finally:
            with self._readers_changed:
                version.readers -= 1
                self._readers_changed.notify_all()

    def start(self, drop: Callable[[SuppressionList], None]) -> None:
        """Start following; `drop` is called with each new version once no operation uses an older one."""
        self._on_change = drop
        self._thread.start()

    def close(self) -> None:
        """Stop following the list."""
        self._stop.set()
        with self._readers_changed:
            self._readers_changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def reload(self) -> None:
        """Switch to a changed list.

        Raises:
            SuppressionListError, OSError: The list cannot be read; the previous version stays in use.
        """
        with self._reload_lock:
            self._reload()

    def _reload(self) -> None:
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
        logger.info(
            "%d users are erased: their events are rejected, and their requests are answered as those of unknown users",
            len(users),
        )

    def _poll_forever(self) -> None:
        while not self._stop.wait(POLL_INTERVAL_S):
            try:
                self.reload()
            except (SuppressionListError, OSError):
                logger.exception("the changed suppression list cannot be read; the previous version stays in use")
            except Exception:
                logger.exception("cached data of erased users could not be dropped; retrying")
