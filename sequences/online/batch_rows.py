"""Every user's newest events of every view, in one pass over the event table, as the online store will hold them.

The table is read in pieces of whole users, so memory is bound by a piece and the longest history. Legend: E events of a
piece. Knows nothing about where the rows go.
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
"""A user and the stored bytes of each feature."""


@dataclass(frozen=True)
class UserChunk:
    """The rows of some users: everybody after the piece before, up to and including `last_user`, in order of their ids.

    A user has a row in a view only where they have events in it.
    """

    rows: dict[str, list[EncodedRow]]
    last_user: str


def encode_batch_rows(
    path: Path, views: Sequence[SequenceView], as_of: datetime, events_per_chunk: int = EVENTS_PER_CHUNK
) -> Iterator[UserChunk]:
    """The last L events known before `as_of` (naive UTC), user by user.

    Raises:
        EventTableError: the table is missing, lacks a column, or is not sorted by user and time.
    """
    before = ""
    for events in _read_user_chunks(path, views, as_of, events_per_chunk):
        line = build_timeline([events["user_id"]], [microseconds(events["known_at"])])
        if not line.is_sorted or sorted(line.users) != line.users or not before < line.users[0]:
            raise EventTableError(f"{path} is not sorted by user_id, known_at; rebuild the marts with `dbt build`")
        before = line.users[-1]
        yield UserChunk(_encode_rows(events, views, line), before)


def _encode_rows(
    events_E: pa.RecordBatch, views: Sequence[SequenceView], line: Timeline
) -> dict[str, list[EncodedRow]]:
    cuts = [_latest_positions(events_E, view, line.offset_U1) for view in views]
    # Views share events, and most events of a long history are in none: only what some view shows is encoded, once.
    is_shown_E = np.zeros(len(events_E), dtype=np.bool_)
    for events, _, _ in cuts:
        is_shown_E[events] = True
    place_E = np.cumsum(is_shown_E) - 1
    shown = events_E if is_shown_E.all() else events_E.filter(pa.array(is_shown_E))
    columns = {
        name: EncodedColumn.from_arrow(ATTRIBUTES[name].kind, fill_missing(ATTRIBUTES[name].kind, shown[name]))
        for name in dict.fromkeys(name for view in views for name in view.attribute_names)
    }
    rows: dict[str, list[EncodedRow]] = {}
    for view, (events, bounds, having) in zip(views, cuts, strict=True):
        lists = [columns[name].encode_lists(place_E[events], bounds) for name in view.attribute_names]
        rows[view.name] = [
            (line.users[user], dict(zip(view.attribute_names, values, strict=True)))
            for user, *values in zip(having.tolist(), *lists, strict=True)
        ]
    return rows


def _latest_positions(
    events_E: pa.RecordBatch, view: SequenceView, offset_U1: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(places of the view's events, where each list begins and ends among them, whose lists they are)."""
    is_in_E = is_in(events_E["behaviour"], frozenset(view.behaviours))
    if view.target_types:
        is_in_E &= is_in(events_E["target_type"], frozenset(view.target_types))
    count_E1 = np.concatenate([[0], np.cumsum(is_in_E)])
    end_U, begin_U = count_E1[offset_U1[1:]], count_E1[offset_U1[:-1]]
    begin_U = np.maximum(begin_U, end_U - view.length)
    places = np.flatnonzero(is_in_E)
    having = np.flatnonzero(end_U > begin_U)
    counts = (end_U - begin_U)[having]
    bounds = np.concatenate([[0], np.cumsum(counts)])
    return places[np.repeat(begin_U[having] - bounds[:-1], counts) + np.arange(bounds[-1])], bounds, having


def _read_user_chunks(
    path: Path, views: Sequence[SequenceView], as_of: datetime, events_of_a_piece: int
) -> Iterator[pa.RecordBatch]:
    """Events of whole users, each time about so many, without what no view shows."""
    columns = list(
        dict.fromkeys([*KEY_COLUMNS, "known_at", *(name for view in views for name in view.attribute_names)])
    )
    behaviours = frozenset(one for view in views for one in view.behaviours)
    as_of_us = (as_of - EPOCH) // timedelta(microseconds=1)
    rest: list[pa.RecordBatch] = []
    for batch in read_batches(path, columns, events_of_a_piece):
        is_wanted = is_in(batch["behaviour"], behaviours) & (microseconds(batch["known_at"]) < as_of_us)
        rest.append(batch if is_wanted.all() else batch.filter(pa.array(is_wanted)))
        if sum(len(part) for part in rest) < events_of_a_piece:
            continue
        whole = _concatenate(rest)
        user_E = np.asarray(whole["user_id"].indices)
        # The last user may go on in the next batch.
        last = int(np.argmax(user_E == user_E[-1]))
        if last:
            yield whole.slice(0, last)
        rest = [_compact_dictionaries(whole.slice(last))]
    whole = _concatenate(rest) if rest else None
    if whole is not None and len(whole):
        yield whole


def _compact_dictionaries(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with dictionaries of their own texts: those of what they were cut from would go on from piece to piece."""
    columns = [
        column.dictionary_decode().dictionary_encode() if isinstance(column, pa.DictionaryArray) else column
        for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)


def _concatenate(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch, whose texts are in one dictionary a column."""
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    return table.to_batches()[0] if len(table) else batches[0]
