"""Follows the suppression list of erased users, which `python -m privacy.erase` changes.

From a new version on, stores, caches and the feature log keep nothing of its users, also nothing of a request that began before.
Then the worker reports the digest of the version, after which the eraser may rewrite the files on the disk. Independent of requests
or events.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from storage import suppression_list
from storage.suppression_list import SuppressionList

logger = logging.getLogger(__name__)


class SuppressionListFollower:
    """Holds the list; `reload`, which is called every second, follows its changes. Thread-safe.

    Args:
        file: The list, `SEGUE_HOME/suppression_list.json`.
        erase: Called with each new version; nothing of its users may be kept when it returns, or later. Repeated by the next
            `reload` if it fails.

    Attributes:
        users: The current version.

    Raises:
        SuppressionListError: The list is damaged at the start. Later, the previous version stays in use.
    """

    def __init__(self, file: Path, erase: Callable[[SuppressionList], None]) -> None:
        self._file, self._erase, self._lock = file, erase, threading.Lock()
        self._content = suppression_list.read_content(file)
        self.users = suppression_list.parse_content(self._content, file)

    @property
    def digest(self) -> str:
        """Digest of the version that is in force everywhere in this process."""
        return suppression_list.content_digest(self._content)

    def reload(self) -> None:
        """Switch to a changed list.

        Raises:
            SuppressionListError, OSError: The list cannot be read; the previous version stays in use.
        """
        with self._lock:
            content = suppression_list.read_content(self._file)
            if content == self._content:
                return
            self.users = suppression_list.parse_content(content, self._file)
            self._erase(self.users)
            self._content = content
        logger.info(
            "%d users are erased: their events are rejected, and their requests are answered as for unknown users",
            len(self.users),
        )
