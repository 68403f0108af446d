"""Sequential reading of an event table in blocks of whole users, for requests sorted by user.

Memory is bounded by a block, independent of the number of users. Legend: E events of a block, R requested rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sequences.offline.event_table import read_view
from sequences.offline.list_reader import ListReader, list_types
from sequences.timeline import EventTableError
from sequences.views import SequenceView

EVENTS_PER_BLOCK = 1_048_576


def split_into_blocks(
    events: Iterable[pa.RecordBatch], min_events: int = EVENTS_PER_BLOCK
) -> Iterator[list[pa.RecordBatch]]:
    """The events in blocks of whole users; a block ends with the batch that brings it to `min_events`.

    `user_id` is an Arrow dictionary.
    """
    pending: list[pa.RecordBatch] = []
    count = 0
    for rows in events:
        pending.append(rows)
        count += rows.num_rows
        place_E = np.asarray(rows["user_id"].indices)
        begins = np.flatnonzero(np.diff(place_E)) + 1
        if count >= min_events and len(begins):
            last = int(begins[-1])
            yield [*pending[:-1], rows.slice(0, last)]
            pending, count = [rows.slice(last)], rows.num_rows - last
    if pending:
        yield pending


class BlockReader:
    """Reader of the lists of `ListReader` for R rows whose users are known in advance.

    Args:
        path, view, features, time_to_live: See `ListReader`.
        users: User id of each of the R rows, as text. If they are sorted like the event table, one block of events is held
            in memory at a time; otherwise all events of these users.
        min_events: Minimum number of events of a block.

    Raises:
        EventTableError: The event table is missing, lacks a column or is not sorted.
    """

    def __init__(
        self,
        path: str,
        view: SequenceView,
        features: Sequence[str],
        users: pa.Array,
        time_to_live: timedelta | None = None,
        min_events: int = EVENTS_PER_BLOCK,
    ) -> None:
        self.types = list_types(features)
        self._path, self._view, self._features, self._time_to_live = path, view, features, time_to_live
        self._users, self._distinct = users, users.unique()
        self._order = self._distinct.to_pylist()
        place_R = pc.index_in(users, self._distinct).to_numpy(zero_copy_only=False)
        self._is_in_order = (
            None not in self._order and bool((np.diff(place_R) >= 0).all()) and _is_ascending(self._order)
        )
        # First row of each distinct user, if the rows are sorted.
        self._begins = np.searchsorted(place_R, np.arange(len(self._order) + 1)) if self._is_in_order else place_R[:0]
        self._min_events = min_events
        self._restart()

    def read(self, start: int, times_us_B: NDArray[np.int64]) -> list[pa.ChunkedArray]:
        """One list column per feature for the rows `start` to `start + len(times_us_B)`; times in µs UTC."""
        if start < self._first:
            self._restart()
        at, end = start, start + len(times_us_B)
        parts: list[list[pa.Array]] = []
        while at < end or not parts:
            while at >= self._end < len(self._users):
                self._load_next_block()
            stop = min(end, self._end)
            index = self._index_B[at - self._first : stop - self._first]
            parts.append(self._reader.read_at(index, times_us_B[at - start : stop - start]))
            at = stop
        if end == len(self._users):
            # Further events of these users would be out of order and missing from rows already returned.
            for events in self._blocks:
                self._check_order(ListReader(events, self._view, []).timeline.users)
        return [
            pa.chunked_array(columns, kind) for columns, kind in zip(zip(*parts, strict=True), self.types, strict=True)
        ]

    def _restart(self) -> None:
        events = read_view(self._path, self._view, self._features, self._distinct)
        self._blocks = split_into_blocks(events, self._min_events) if self._is_in_order else iter([list(events)])
        self._last_user: str | None = None
        self._end = 0
        self._load_next_block()

    def _load_next_block(self) -> None:
        """Load the next block, which covers the rows `_first` to `_end` (exclusive)."""
        events = next(self._blocks, [])
        self._reader = ListReader(events, self._view, self._features, self._time_to_live, self._path)
        self._first, self._end = self._end, len(self._users)
        users = self._reader.timeline.users
        if users and self._is_in_order:
            self._check_order(users)
            self._end = int(self._begins[bisect_right(self._order, users[-1])])
        self._index_B = self._reader.timeline.index_of(self._users.slice(self._first, self._end - self._first))

    def _check_order(self, users: list[str]) -> None:
        if not _is_ascending([*([] if self._last_user is None else [self._last_user]), *users]):
            raise EventTableError(
                f"{self._path} is not sorted by user_id, known_at; rebuild the marts with `dbt build`"
            )
        self._last_user = users[-1]


def _is_ascending(texts: Sequence[str]) -> bool:
    return all(previous < following for previous, following in pairwise(texts))
