"""Batch rows of the online store: every user's newest events of every view, encoded in one pass over the event table.

The table is read in chunks of whole users, so memory is bounded by a chunk and the longest history. Legend: E events of a
chunk, U users of a chunk. Independent of the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sequences.offline.event_table import KEY_COLUMNS, is_in, read_batches
from sequences.offline.list_reader import fill_missing
from sequences.online.codec import EncodedColumn
from sequences.timeline import EventTableError, Timeline, build_timeline, microseconds
from sequences.views import ATTRIBUTES, SequenceView

EVENTS_PER_CHUNK = 524_288
EPOCH = datetime(1970, 1, 1)

EncodedRow = tuple[str, dict[str, bytes]]
"""(user_id, feature ▸ stored bytes)."""


@dataclass(frozen=True)
class UserChunk:
    """Rows of a range of users, sorted by id: all users after the previous chunk up to `last_user` (inclusive)."""

    rows: dict[str, list[EncodedRow]]  # view ▸ rows; only users with events in the view have one
    last_user: str


def encode_batch_rows(
    path: Path, views: Sequence[SequenceView], as_of: datetime, events_per_chunk: int = EVENTS_PER_CHUNK
) -> Iterator[UserChunk]:
    """Every user's last L events known before `as_of` (naive UTC), in chunks of users.

    Raises:
        EventTableError: The table is missing, lacks a column, or is not sorted by user and time.
    """
    last_user = ""
    for events in _read_user_chunks(path, views, as_of, events_per_chunk):
        timeline = build_timeline([events["user_id"]], [microseconds(events["known_at"])])
        if not timeline.is_sorted or sorted(timeline.users) != timeline.users or not last_user < timeline.users[0]:
            raise EventTableError(f"{path} is not sorted by user_id, known_at; rebuild the marts with `dbt build`")
        last_user = timeline.users[-1]
        yield UserChunk(_encode_rows(events, views, timeline), last_user)


def _encode_rows(
    events_E: pa.RecordBatch, views: Sequence[SequenceView], timeline: Timeline
) -> dict[str, list[EncodedRow]]:
    selections = [_latest_positions(events_E, view, timeline.offset_U1) for view in views]
    # Views share events, and most events of a long history are in no view: each selected event is encoded once.
    is_selected_E = np.zeros(len(events_E), dtype=np.bool_)
    for events, _, _ in selections:
        is_selected_E[events] = True
    place_E = np.cumsum(is_selected_E) - 1
    selected = events_E if is_selected_E.all() else events_E.filter(pa.array(is_selected_E))
    columns = {
        name: EncodedColumn.from_arrow(ATTRIBUTES[name].kind, fill_missing(ATTRIBUTES[name].kind, selected[name]))
        for name in dict.fromkeys(name for view in views for name in view.attribute_names)
    }
    rows: dict[str, list[EncodedRow]] = {}
    for view, (events, bounds, users) in zip(views, selections, strict=True):
        lists = [columns[name].encode_lists(place_E[events], bounds) for name in view.attribute_names]
        rows[view.name] = [
            (timeline.users[user], dict(zip(view.attribute_names, values, strict=True)))
            for user, *values in zip(users.tolist(), *lists, strict=True)
        ]
    return rows


def _latest_positions(
    events_E: pa.RecordBatch, view: SequenceView, offset_U1: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(positions of the selected events, bounds of each list among them, user index of each list)."""
    is_in_E = is_in(events_E["behaviour"], frozenset(view.behaviours))
    if view.target_types:
        is_in_E &= is_in(events_E["target_type"], frozenset(view.target_types))
    count_E1 = np.concatenate([[0], np.cumsum(is_in_E)])
    end_U, begin_U = count_E1[offset_U1[1:]], count_E1[offset_U1[:-1]]
    begin_U = np.maximum(begin_U, end_U - view.length)
    places = np.flatnonzero(is_in_E)
    users = np.flatnonzero(end_U > begin_U)
    counts = (end_U - begin_U)[users]
    bounds = np.concatenate([[0], np.cumsum(counts)])
    return places[np.repeat(begin_U[users] - bounds[:-1], counts) + np.arange(bounds[-1])], bounds, users


def _read_user_chunks(
    path: Path, views: Sequence[SequenceView], as_of: datetime, events_per_chunk: int
) -> Iterator[pa.RecordBatch]:
    """The views' events known before `as_of`, in chunks of whole users with about `events_per_chunk` events."""
    columns = list(
        dict.fromkeys([*KEY_COLUMNS, "known_at", *(name for view in views for name in view.attribute_names)])
    )
    behaviours = frozenset(behaviour for view in views for behaviour in view.behaviours)
    as_of_us = (as_of - EPOCH) // timedelta(microseconds=1)
    pending: list[pa.RecordBatch] = []
    for batch in read_batches(path, columns, events_per_chunk):
        is_selected = is_in(batch["behaviour"], behaviours) & (microseconds(batch["known_at"]) < as_of_us)
        pending.append(batch if is_selected.all() else batch.filter(pa.array(is_selected)))
        if sum(len(part) for part in pending) < events_per_chunk:
            continue
        events = _concatenate(pending)
        user_E = np.asarray(events["user_id"].indices)
        # The last user may continue in the next batch.
        last = int(np.argmax(user_E == user_E[-1]))
        if last:
            yield events.slice(0, last)
        pending = [_compact_dictionaries(events.slice(last))]
    events = _concatenate(pending) if pending else None
    if events is not None and len(events):
        yield events


def _compact_dictionaries(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with minimal dictionaries; a slice keeps the dictionary of its origin, which would grow with each chunk."""
    columns = [
        column.dictionary_decode().dictionary_encode() if isinstance(column, pa.DictionaryArray) else column
        for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)


def _concatenate(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch with one dictionary per text column."""
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    return table.to_batches()[0] if len(table) else batches[0]
