"""Index over flat arrays sorted by (user, known_at): each user's slice, and point-in-time bounds within it.

Legend: E events, U users, B requests. Independent of the content of events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


class EventTableError(ValueError):
    """The event table is missing, incomplete or unsorted; the message names the file and the remedy."""


class Timeline:
    """Times of E events and the offsets of U users among them.

    Attributes:
        users: the U user ids, in the arrays' order.
        offset_U1: int64 [U + 1]; user u's events are `offset_U1[u]:offset_U1[u + 1]`.
        known_at_E: int64 µs UTC, increasing within a user.
    """

    def __init__(self, users: list[str], offset_U1: NDArray[np.int64], known_at_E: NDArray[np.int64]) -> None:
        self.users, self.offset_U1, self.known_at_E = users, offset_U1, known_at_E
        self._index_of = {user: index for index, user in enumerate(users)}

    @property
    def is_sorted(self) -> bool:
        """Whether each user's rows are contiguous and strictly increasing in time, as all other methods require."""
        step_E = np.diff(self.known_at_E)
        step_E[self.offset_U1[1:-1] - 1] = 1
        return len(self._index_of) == len(self.users) and not bool((step_E <= 0).any())

    def index_of(self, user_ids: Sequence[str] | pa.Array) -> NDArray[np.int64]:
        """Each user's index in `users`, -1 for a user without events."""
        if isinstance(user_ids, pa.Array):
            place_B = pc.fill_null(pc.index_in(user_ids, pa.array(self.users, pa.string())), -1)
            return np.asarray(place_B.to_numpy(zero_copy_only=False), dtype=np.int64)
        place = self._index_of.get
        return np.fromiter((place(user, -1) for user in user_ids), dtype=np.int64, count=len(user_ids))

    def bounds(
        self, user_index_B: NDArray[np.int64], times_us_B: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Begin and end of each user's events with `known_at < time`: (first_B, end_B).

        Args:
            user_index_B: Indices of `index_of`; -1 gives an empty range.
            times_us_B: Times in µs UTC.
        """
        if not self.users:
            empty_B = np.zeros(len(user_index_B), dtype=np.int64)
            return empty_B, empty_B.copy()
        has_events_B = user_index_B >= 0
        safe_B = np.where(has_events_B, user_index_B, 0)
        first_B = self.offset_U1[safe_B]
        low_B, high_B = first_B.copy(), np.where(has_events_B, self.offset_U1[safe_B + 1], first_B)
        last = len(self.known_at_E) - 1
        # One vectorized binary search for the whole batch.
        while True:
            is_open_B = low_B < high_B
            if not is_open_B.any():
                return first_B, low_B
            middle_B = (low_B + high_B) >> 1
            is_before_B = self.known_at_E.take(np.minimum(middle_B, last)) < times_us_B
            low_B = np.where(is_open_B & is_before_B, middle_B + 1, low_B)
            high_B = np.where(is_open_B & ~is_before_B, middle_B, high_B)

    def latest(
        self,
        user_index_B: NDArray[np.int64],
        before_us_B: NDArray[np.int64],
        length: int,
        since_us_B: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Begin and end of each user's last `length` events with `known_at < before`: (start_B, end_B).

        Args:
            user_index_B: Indices of `index_of`; -1 gives an empty range.
            before_us_B: Times in µs UTC.
            length: Maximum number of events.
            since_us_B: Times in µs UTC before which events do not count; None: all count.
        """
        first_B, end_B = self.bounds(user_index_B, before_us_B)
        if since_us_B is not None:
            first_B = np.minimum(self.bounds(user_index_B, since_us_B)[1], end_B)
        return np.maximum(first_B, end_B - length), end_B


Column = TypeVar("Column")


def gather(
    events: Iterable[pa.RecordBatch], convert: Mapping[str, Callable[[pa.Array], Column]], source: object
) -> tuple[Timeline, dict[str, list[Column]]]:
    """The timeline of events and, per column, its converted parts: the one way from the event table to sequences.

    Args:
        events: Parts of the table, sorted by user and time, with `user_id` as an Arrow dictionary.
        convert: Column ▸ what makes flat codes (`dense_reader.py`) or elements of lists (`list_reader.py`) of it.
        source: Origin of the events, for error messages.

    Raises:
        EventTableError: The events are not sorted.
    """
    ids: list[pa.DictionaryArray] = []
    known_at: list[NDArray[np.int64]] = []
    parts: dict[str, list[Column]] = {name: [] for name in convert}
    for rows in events:
        ids.append(rows["user_id"])
        known_at.append(microseconds(rows["known_at"]))
        for name, converted in convert.items():
            parts[name].append(converted(rows[name]))
    timeline = build_timeline(ids, known_at)
    if not timeline.is_sorted:
        raise EventTableError(f"{source} is not sorted by user_id, known_at; rebuild the marts with `dbt build`")
    return timeline, parts


def build_timeline(user_ids: Sequence[pa.DictionaryArray], known_at: Sequence[NDArray[np.int64]]) -> Timeline:
    """The timeline of rows given in parts: dictionary-encoded user ids and times in µs UTC, per part."""
    users: list[str] = []
    counts: list[int] = []
    for part in user_ids:
        if not len(part):
            continue
        place_E = np.asarray(part.indices)
        begins = np.concatenate([[0], np.flatnonzero(np.diff(place_E)) + 1])
        lengths = np.diff(begins, append=len(place_E))
        runs = part.dictionary.take(pa.array(place_E[begins]))
        for user, count in zip(runs.to_pylist(), lengths.tolist(), strict=True):
            if users and users[-1] == user:
                counts[-1] += count
            else:
                users.append(user)
                counts.append(count)
    times_E = np.concatenate(known_at) if known_at else np.zeros(0, dtype=np.int64)
    return Timeline(users, np.cumsum([0, *counts], dtype=np.int64), times_E)


def microseconds(column: pa.Array) -> NDArray[np.int64]:
    """A timestamp column as int64 µs since 1970 UTC; null becomes 0."""
    times = pc.fill_null(column.cast(pa.timestamp("us")).cast(pa.int64()), 0)
    return np.asarray(times.to_numpy(zero_copy_only=False), dtype=np.int64)
