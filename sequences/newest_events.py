"""Every user's newest events of every view, in one pass over the event table, as the online store will hold them.

The table is read in pieces of whole users, so memory is bound by a piece and the longest history. Legend: E events of a
piece. Knows nothing about where the rows go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sequences.definition import ATTRIBUTES, EVENT_ID, SequenceView
from sequences.offline_sequences import missing_filled
from sequences.timeline import EventTableError, microseconds, timeline
from sequences.wire import EventColumn

EVENTS_OF_A_PIECE = 131_072

Row = tuple[str, dict[str, bytes]]
"""A user and the stored bytes of each feature."""


@dataclass(frozen=True)
class Piece:
    """The rows of some users: everybody after the piece before, up to and including `last_user`, in order of their ids.

    A user has a row in a view only where they have events in it.
    """

    rows: dict[str, list[Row]]
    last_user: str


def newest_events(
    path: Path, views: Sequence[SequenceView], as_of: datetime, events_of_a_piece: int = EVENTS_OF_A_PIECE
) -> Iterator[Piece]:
    """The last L events known before `as_of` (naive UTC), user by user.

    Raises:
        EventTableError: the table is missing, lacks a column, or is not sorted by user and time.
    """
    before = ""
    for table in _whole_users(path, views, as_of, events_of_a_piece):
        ids, times = table["user_id"].combine_chunks(), table["known_at"].combine_chunks()
        line = timeline([ids.dictionary_encode()], [microseconds(times)])
        if not line.is_sorted or sorted(line.users) != line.users or not before < line.users[0]:
            raise EventTableError(f"{path} is not sorted by user_id, known_at; rebuild the marts with `dbt build`")
        before = line.users[-1]
        yield Piece(_rows(table, views, line.offset_U1, line.users), before)


def _rows(
    table: pa.Table, views: Sequence[SequenceView], offset_U1: NDArray[np.int64], users: list[str]
) -> dict[str, list[Row]]:
    cuts = [_newest(table, view, offset_U1) for view in views]
    # Views share events, and most events of a long history are in none: only what some view shows is encoded, once.
    shown = np.unique(np.concatenate([events for events, _, _ in cuts]))
    table = table.take(pa.array(shown))
    columns = {
        name: _encoded(name, table[name].combine_chunks())
        for name in dict.fromkeys(name for view in views for name in view.attribute_names)
    }
    rows: dict[str, list[Row]] = {}
    for view, (events, bounds, having) in zip(views, cuts, strict=True):
        places = np.searchsorted(shown, events)
        lists = [columns[name].lists(places, bounds) for name in view.attribute_names]
        rows[view.name] = [
            (users[user], dict(zip(view.attribute_names, values, strict=True)))
            for user, *values in zip(having.tolist(), *lists, strict=True)
        ]
    return rows


def _newest(
    table: pa.Table, view: SequenceView, offset_U1: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(places of the view's events, where each list begins and ends among them, whose lists they are)."""
    is_in_E = _is_in(table, view)
    count_E1 = np.concatenate([[0], np.cumsum(is_in_E)])
    end_U, begin_U = count_E1[offset_U1[1:]], count_E1[offset_U1[:-1]]
    begin_U = np.maximum(begin_U, end_U - view.length)
    places = np.flatnonzero(is_in_E)
    having = np.flatnonzero(end_U > begin_U)
    counts = (end_U - begin_U)[having]
    bounds = np.concatenate([[0], np.cumsum(counts)])
    return places[np.repeat(begin_U[having] - bounds[:-1], counts) + np.arange(bounds[-1])], bounds, having


def _is_in(table: pa.Table, view: SequenceView) -> NDArray[np.bool_]:
    is_in = pc.is_in(table["behaviour"], pa.array(view.behaviours, pa.string()))
    if view.target_types:
        is_in = pc.and_(is_in, pc.is_in(table["target_type"], pa.array(view.target_types, pa.string())))
    return np.asarray(is_in.to_numpy(), dtype=np.bool_)


def _encoded(name: str, column: pa.Array) -> EventColumn:
    kind = ATTRIBUTES[name].kind
    filled = missing_filled(kind, column)
    # Ids of tracks, behaviours and scenes repeat; each is encoded once.
    return EventColumn.of(kind, filled.dictionary_encode() if kind == "string" and name != EVENT_ID.name else filled)


def _whole_users(
    path: Path, views: Sequence[SequenceView], as_of: datetime, events_of_a_piece: int
) -> Iterator[pa.Table]:
    """Tables of whole users, each of about so many events, without what no view shows."""
    if not path.exists():
        raise EventTableError(f"{path} does not exist; run `dbt build` first, it publishes the marts")
    names = ("user_id", "known_at", "behaviour", "target_type", *(n for view in views for n in view.attribute_names))
    columns = list(dict.fromkeys(names))
    behaviours = pa.array(sorted({one for view in views for one in view.behaviours}), pa.string())
    known_before = pa.scalar(as_of, pa.timestamp("us"))
    rest: pa.Table | None = None
    with pq.ParquetFile(path) as file:
        missing = set(columns) - set(file.schema_arrow.names)
        if missing:
            raise EventTableError(f"{path} lacks the columns {sorted(missing)}; rebuild the marts with `dbt build`")
        for batch in file.iter_batches(batch_size=events_of_a_piece, columns=columns):
            is_wanted = pc.and_(pc.less(batch["known_at"], known_before), pc.is_in(batch["behaviour"], behaviours))
            rows = pa.Table.from_batches([batch.filter(is_wanted)])
            rest = rows if rest is None else pa.concat_tables([rest, rows])
            if not len(rest):
                continue
            # The last user may go on in the next batch.
            last = pc.index(rest["user_id"], rest["user_id"][-1]).as_py()
            if last:
                yield rest.slice(0, last)
                rest = rest.slice(last)
    if rest is not None and len(rest):
        yield rest
