"""What was known of the known users that were read last, for the time when the online store does not answer.

As arrays and without padding, in bounded memory: a long history is a hundred kilobytes. The numbers in them mean the
tracks of one release, so another release begins with nothing. Knows nothing about the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from sequences.batch import SequenceBatch
from training.data.user_batch import UserBatch

MAX_BYTES = 128 << 20
ENTRY_OVERHEAD_BYTES = 2048
"""What an entry costs beside its arrays, about."""


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
    """Forgets who was read longest ago; thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def put(self, release_id: str, users: UserBatch) -> None:
        """Remember the one request in `users`, in the place of what was known of its user."""
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
        """The user's state as a request of this moment and scene; None if forgotten."""
        with self._lock:
            entry = self._entries.get(user_id)
        if entry is None or entry.release_id != release_id:
            return None
        views = {name: _pad(view, entry.lengths[name]) for name, view in entry.users.views.items()}
        now = np.array([at_us], dtype=np.int64)
        return replace(entry.users, views=views, request_at_B=now, scene_B=[scene])

    def erase_users(self, users: Container[str]) -> None:
        """Drop what is known of these users."""
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
