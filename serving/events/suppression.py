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
from storage.suppression_list import SuppressionList

logger = logging.getLogger(__name__)


class _ListVersion:
    """A version of the list and the number of operations that use it."""

    def __init__(self, users: SuppressionList) -> None:
        self.users, self.readers = users, 0


class SuppressionListFollower:
    """Holds the list; `reload`, which is called every second, follows its changes. Thread-safe.

    Args:
        file: The list, `SEGUE_HOME/suppression_list.json`.
        drop: Called with each new version once no operation uses an older one; repeated by the next `reload` if it fails.

    Raises:
        SuppressionListError: The list is damaged at the start. Later, the previous version stays in use.
    """

    def __init__(self, file: Path, drop: Callable[[SuppressionList], None]) -> None:
        self._file, self._drop = file, drop
        self._readers_changed = threading.Condition()
        self._is_closed = False
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

    def close(self) -> None:
        """Let a `reload` that waits for operations end without them."""
        with self._readers_changed:
            self._is_closed = True
            self._readers_changed.notify_all()

    def reload(self) -> None:
        """Switch to a changed list.

        Raises:
            SuppressionListError, OSError: The list cannot be read; the previous version stays in use.
        """
        with self._reload_lock:
            content = suppression_list.read_content(self._file)
            if content == self._content:
                return
            users = suppression_list.parse_content(content, self._file)
            with self._readers_changed:
                before, self._version = self._version, _ListVersion(users)
                self._readers_changed.wait_for(lambda: not before.readers or self._is_closed)
            if self._is_closed:
                return
            self._drop(users)
            self._content = content
        logger.info(
            "%d users are erased: their events are rejected, and their requests are answered as those of unknown users",
            len(users),
        )
