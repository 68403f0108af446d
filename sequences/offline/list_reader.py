"""Sequences of many (user, time) rows as Arrow lists, read from the event table in chunks of rows.

The memory of `ListReader` is proportional to the events of its users plus rows × L of one chunk. Legend: E events, B rows of a
chunk. Independent of Feast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sequences.offline.event_table import KEY_COLUMNS, read_users, read_view, select_view
from sequences.sequence_views import ATTRIBUTES, Kind, SequenceView
from sequences.timeline import EventTableError, gather, microseconds

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(),
    "time": pa.int64(),
    "order": pa.int64(),
    "ratio": pa.float32(),
}

EVENTS_PER_BLOCK = 262_144


def list_types(features: Sequence[str]) -> list[pa.DataType]:
    """The list type of each feature."""
    return [pa.list_(ARROW_TYPES[ATTRIBUTES[name].kind]) for name in features]


def fill_missing(kind: Kind, column: pa.Array) -> pa.Array:
    """An attribute column as readers return it: null text becomes "", times µs UTC, an unknown ratio NaN."""
    if kind == "string":
        # Track ids repeat: as a dictionary they take 4 bytes per event.
        if pa.types.is_dictionary(column.type):
            return _replace_null(column)
        return pc.fill_null(column, "")
    if kind == "time":
        return pa.array(microseconds(column))
    if kind == "order":
        return pc.fill_null(column.cast(pa.int64()), 0)
    return pc.fill_null(column.cast(pa.float32()), float("nan"))


class ListReader:
    """Point-in-time reader of lists over the events of some users.

    Args:
        events: The view's events, sorted by user and time, with `user_id` as an Arrow dictionary.
        view: Determines the list length and whether the view is daily.
        features: Attributes to return, in this order.
        time_to_live: Events older than this at a row's time are left out; zero or None keeps all.
        source: Origin of the events, for error messages.

    Raises:
        EventTableError: The events are not sorted.
    """

    def __init__(
        self,
        events: Iterable[pa.RecordBatch],
        view: SequenceView,
        features: Sequence[str],
        time_to_live: timedelta | None = None,
        source: str = "the event table",
    ) -> None:
        self.view = view
        self.features = list(features)
        self._time_to_live_us = time_to_live // timedelta(microseconds=1) if time_to_live else None
        convert = {name: partial(fill_missing, ATTRIBUTES[name].kind) for name in self.features}
        self.timeline, parts = gather(events, convert, source)
        self._columns = {name: _concatenate(parts[name], ARROW_TYPES[ATTRIBUTES[name].kind]) for name in self.features}

    @classmethod
    def from_file(
        cls,
        path: str,
        view: SequenceView,
        features: Sequence[str],
        user_ids: pa.Array | None = None,
        time_to_live: timedelta | None = None,
    ) -> ListReader:
        """A reader of the event table at `path`, restricted to `user_ids` if given."""
        return cls(read_view(path, view, features, user_ids), view, features, time_to_live, path)

    def read(self, user_ids: Sequence[str], times_us_B: NDArray[np.int64]) -> list[pa.Array]:
        """One list column per feature: the last L visible events, oldest first; empty for a user without events."""
        return self.read_at(self.timeline.index_of(user_ids), times_us_B)

    def read_at(self, index_B: NDArray[np.int64], times_us_B: NDArray[np.int64]) -> list[pa.Array]:
        """`read` for users given by their index in the timeline; -1 is a user without events."""
        since_us_B = None if self._time_to_live_us is None else times_us_B - self._time_to_live_us
        before_us_B = self.view.cutoff_us(times_us_B)
        start_B, end_B = self.timeline.latest(index_B, before_us_B, self.view.length, since_us_B)
        count_B = end_B - start_B
        offsets = np.concatenate([[0], np.cumsum(count_B)])
        places = np.repeat(start_B - offsets[:-1], count_B) + np.arange(offsets[-1])
        # The limit of Arrow lists is a number of 32 bits; a larger offset is an error here.
        arrow_offsets, arrow_places = pa.array(offsets, pa.int32()), pa.array(places)
        return [
            pa.ListArray.from_arrays(arrow_offsets, _decode_dictionary(self._columns[name].take(arrow_places)))
            for name in self.features
        ]


def latest_from_reader(reader: ListReader, as_of_us: int) -> pa.Table:
    """Every user's newest events at a time, as materialization writes them.

    Returns:
        One row per user with events before `as_of_us` (µs UTC): user_id, known_at of the newest event, and one list per
        feature.
    """
    users = reader.timeline.users
    as_of_B = np.full(len(users), reader.view.cutoff_us(as_of_us), dtype=np.int64)
    first_B, end_B = reader.timeline.bounds(np.arange(len(users)), as_of_B)
    columns = reader.read(users, as_of_B)
    newest_B = reader.timeline.known_at_E[np.maximum(end_B, 1) - 1] if len(users) else np.zeros(0, dtype=np.int64)
    table = pa.table(
        [pa.array(users, pa.string()), pa.array(newest_B).cast(pa.timestamp("us")), *columns],
        names=["user_id", "known_at", *reader.features],
    )
    return table.filter(pa.array(end_B > first_B))


def read_user_blocks(
    path: str, views: Sequence[SequenceView], user_ids: pa.Array | None = None, min_events: int = EVENTS_PER_BLOCK
) -> Iterator[dict[str, ListReader]]:
    """View ▸ reader of all its attributes, for each block of whole users; memory does not depend on the number of users.

    Raises:
        EventTableError: The table is missing, lacks a column or is not sorted.
    """
    attributes = {view.name: ["user_id", "known_at", *view.attribute_names] for view in views}
    columns = list(dict.fromkeys([*KEY_COLUMNS, *(name for names in attributes.values() for name in names)]))
    last_user = ""
    for events in _split_into_blocks(read_users(Path(path), columns, user_ids), min_events):
        for user in gather(events, {}, path)[0].users:
            if user <= last_user:
                raise EventTableError(f"{path} is not sorted by user_id, known_at; rebuild the marts with `dbt build`")
            last_user = user
        yield {
            view.name: ListReader(
                [select_view(batch, view, attributes[view.name]) for batch in events],
                view,
                view.attribute_names,
                source=path,
            )
            for view in views
        }


def _split_into_blocks(events: Iterable[pa.RecordBatch], min_events: int) -> Iterator[list[pa.RecordBatch]]:
    """The events in blocks of whole users; a block ends with the batch that brings it to `min_events`."""
    pending: list[pa.RecordBatch] = []
    count = 0
    for rows in events:
        pending.append(rows)
        count += rows.num_rows
        begins = np.flatnonzero(np.diff(np.asarray(rows["user_id"].indices))) + 1
        if count >= min_events and len(begins):
            last = int(begins[-1])
            yield [*pending[:-1], rows.slice(0, last)]
            pending, count = [rows.slice(last)], rows.num_rows - last
    if pending:
        yield pending


def _replace_null(column: pa.DictionaryArray) -> pa.DictionaryArray:
    if not column.null_count:
        return column
    texts = pa.concat_arrays([column.dictionary, pa.array([""])])
    return pa.DictionaryArray.from_arrays(pc.fill_null(column.indices, len(texts) - 1), texts)


def _decode_dictionary(column: pa.Array) -> pa.Array:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _concatenate(parts: list[pa.Array], of_type: pa.DataType) -> pa.Array:
    if not parts:
        return pa.array([], of_type)
    whole = pa.chunked_array(parts)
    if pa.types.is_dictionary(whole.type):
        whole = whole.unify_dictionaries()
    return whole.combine_chunks()
