"""An event table read from one end to the other, some whole users at a time, for whoever asks for users in its order.

Memory is bounded by a block, however many users there are. Legend: E events of a block. Knows nothing about what is
asked of a block.
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
    """The events in blocks of whole users, which end with the batch that makes them so many; `user_id` is an Arrow dictionary."""
    held: list[pa.RecordBatch] = []
    count = 0
    for rows in events:
        held.append(rows)
        count += rows.num_rows
        place_E = np.asarray(rows["user_id"].indices)
        begins = np.flatnonzero(np.diff(place_E)) + 1
        if count >= min_events and len(begins):
            last = int(begins[-1])
            yield [*held[:-1], rows.slice(0, last)]
            held, count = [rows.slice(last)], rows.num_rows - last
    if held:
        yield held


class BlockReader:
    """Lists of features for rows of users, as `ListReader` cuts them.

    Args:
        path, view, features, time_to_live: see `ListReader`.
        users: the user of each of the R rows that will be asked for, as text. Where they are in order, as the event table
            is, one block of events is held at a time; else all events of these users.
        at_least: so many events make a block.

    Raises:
        EventTableError: the event table is missing, lacks a column or is not sorted.
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
        # Where the rows of each distinct user begin, if they are in order.
        self._begins = np.searchsorted(place_R, np.arange(len(self._order) + 1)) if self._is_in_order else place_R[:0]
        self._at_least = min_events
        self._restart()

    def read(self, start: int, times_us_B: NDArray[np.int64]) -> list[pa.ChunkedArray]:
        """One list column a feature for the rows from `start` on, as many as there are times."""
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
            # Events of these users that still come are out of order, and rows were answered without them.
            for events in self._blocks:
                self._check_order(ListReader(events, self._view, []).timeline.users)
        return [
            pa.chunked_array(columns, kind) for columns, kind in zip(zip(*parts, strict=True), self.types, strict=True)
        ]

    def _restart(self) -> None:
        events = read_view(self._path, self._view, self._features, self._distinct)
        self._blocks = split_into_blocks(events, self._at_least) if self._is_in_order else iter([list(events)])
        self._last_user: str | None = None
        self._end = 0
        self._load_next_block()

    def _load_next_block(self) -> None:
        """Takes the next block, which has the events of the rows from `_first` on, but none of those from `_after` on."""
        events = next(self._blocks, [])
        self._reader = ListReader(events, self._view, self._features, self._time_to_live, self._path)
        self._first, self._end = self._end, len(self._users)
        known = self._reader.timeline.users
        if known and self._is_in_order:
            self._check_order(known)
            self._end = int(self._begins[bisect_right(self._order, known[-1])])
        self._index_B = self._reader.timeline.index_of(self._users.slice(self._first, self._end - self._first))

    def _check_order(self, users: list[str]) -> None:
        if not _is_ascending([*([] if self._last_user is None else [self._last_user]), *users]):
            raise EventTableError(
                f"{self._path} is not sorted by user_id, known_at; rebuild the marts with `dbt build`"
            )
        self._last_user = users[-1]


def _is_ascending(texts: Sequence[str]) -> bool:
    return all(one < other for one, other in pairwise(texts))
