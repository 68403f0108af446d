"""Bounded cache of recently read user states, used when the online store fails.

States are stored as arrays without padding; a long history takes about 100 kB. Their item numbers are those of one
release, so a new release starts with no entries. Independent of the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from sequences.sequence_batch import SequenceBatch
from training.data.user_batch import UserBatch

STATE_FROM_STORE, STATE_FROM_CACHE, STATE_UNAVAILABLE = "store", "memory", "nothing"
"""Sources of the state of a user."""
MAX_BYTES = 128 << 20
ENTRY_OVERHEAD_BYTES = 2048
"""Approximate size of an entry without its arrays."""


@dataclass(frozen=True)
class _Entry:
    release_id: str
    users: UserBatch
    lengths: dict[str, int]

    @property
    def size(self) -> int:
        columns = [column for view in self.users.views.values() for column in view.columns.values()]
        return ENTRY_OVERHEAD_BYTES + sum(column.nbytes for column in [*columns, *self.users.profile.values()])


class UserStateCache:
    """Evicts the user whose state was stored longest ago; thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def put(self, release_id: str, users: UserBatch) -> None:
        """Store the state of the one request in `users`, replacing that of the same user."""
        lengths = {name: next(iter(view.columns.values())).shape[1] for name, view in users.views.items()}
        views = {name: _strip_padding(view, int(view.length_B[0])) for name, view in users.views.items()}
        entry = _Entry(release_id, replace(users, views=views), lengths)
        user_id = users.user_ids[0]
        with self._lock:
            self._drop(user_id)
            self._entries[user_id] = entry
            self._bytes += entry.size
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))

    def get(self, release_id: str, user_id: str, at_us: int, scene: str) -> UserBatch | None:
        """The user's state as a request at `at_us` in this scene; None if it is not cached for this release."""
        with self._lock:
            entry = self._entries.get(user_id)
        if entry is None or entry.release_id != release_id:
            return None
        views = {name: _pad(view, entry.lengths[name]) for name, view in entry.users.views.items()}
        now = np.array([at_us], dtype=np.int64)
        return replace(entry.users, views=views, request_at_B=now, scene_B=[scene])

    def erase_users(self, users: Container[str]) -> None:
        """Remove the states of these users."""
        with self._lock:
            for user_id in [one for one in self._entries if one in users]:
                self._drop(user_id)

    def _drop(self, user_id: str) -> None:
        entry = self._entries.pop(user_id, None)
        self._bytes -= entry.size if entry else 0


def _strip_padding(view: SequenceBatch, length: int) -> SequenceBatch:
    return SequenceBatch({name: column[:, :length].copy() for name, column in view.columns.items()}, view.length_B)


def _pad(view: SequenceBatch, length: int) -> SequenceBatch:
    columns = {name: np.pad(column, ((0, 0), (0, length - column.shape[1]))) for name, column in view.columns.items()}
    return SequenceBatch(columns, view.length_B)
