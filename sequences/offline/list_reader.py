"""Sequences of many (user, time) rows as Arrow lists, cut from the event table in pieces.

Cost grows with events + rows × L of one piece. Legend: E events, B rows of a piece. Knows nothing about Feast.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sequences.offline.event_table import read_view
from sequences.timeline import EventTableError, Timeline, build_timeline, microseconds
from sequences.views import ATTRIBUTES, Kind, SequenceView

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(),
    "time": pa.int64(),
    "order": pa.int64(),
    "ratio": pa.float32(),
}


def list_types(features: Sequence[str]) -> list[pa.DataType]:
    """The list type of each feature."""
    return [pa.list_(ARROW_TYPES[ATTRIBUTES[name].kind]) for name in features]


def fill_missing(kind: Kind, column: pa.Array) -> pa.Array:
    """An attribute as readers give it: "" for no text, µs for times, NaN for an unknown ratio."""
    if kind == "string":
        # A track's id repeats over plays: it stays a dictionary, held once and with 4 bytes an event.
        if pa.types.is_dictionary(column.type):
            return _replace_null(column)
        return pc.fill_null(column, "")
    if kind == "time":
        return pa.array(microseconds(column))
    if kind == "order":
        return pc.fill_null(column.cast(pa.int64()), 0)
    return pc.fill_null(column.cast(pa.float32()), float("nan"))


class ListReader:
    """The events of some users, ready to be cut into lists.

    Args:
        events: the view's events, sorted by user and time, with `user_id` as an Arrow dictionary.
        view: how many of them count.
        features: the attributes to give, in this order.
        time_to_live: events older than this at a row's time are left out; zero or None keeps all.
        place: where the events lie, for errors.

    Raises:
        EventTableError: the events are not sorted.
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
        ids: list[pa.Array] = []
        times: list[NDArray[np.int64]] = []
        parts: dict[str, list[pa.Array]] = {name: [] for name in self.features}
        for rows in events:
            ids.append(rows["user_id"])
            times.append(microseconds(rows["known_at"]))
            for name in self.features:
                parts[name].append(fill_missing(ATTRIBUTES[name].kind, rows[name]))
        self.timeline: Timeline = build_timeline(ids, times)
        if not self.timeline.is_sorted:
            raise EventTableError(f"{source} is not sorted by user_id, known_at; rebuild the marts with `dbt build`")
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
        """The events in the event table at `path`; of `user_ids` only, when given."""
        return cls(read_view(path, view, features, user_ids), view, features, time_to_live, path)

    @property
    def types(self) -> list[pa.DataType]:
        """The list type of each feature."""
        return list_types(self.features)

    def read(self, user_ids: Sequence[str], times_us_B: NDArray[np.int64]) -> list[pa.Array]:
        """One list column a feature: the last L events seen at the time, oldest first; empty for nobody's."""
        return self.read_at(self.timeline.index_of(user_ids), times_us_B)

    def read_at(self, index_B: NDArray[np.int64], times_us_B: NDArray[np.int64]) -> list[pa.Array]:
        """`read` for users given by their index in the timeline, -1 for nobody."""
        first_B, end_B = self.timeline.bounds(index_B, self.view.cutoff_us(times_us_B))
        if self._time_to_live_us is not None:
            _, first_B = self.timeline.bounds(index_B, times_us_B - self._time_to_live_us)
        start_B = np.maximum(first_B, end_B - self.view.length)
        count_B = end_B - start_B
        offsets = np.concatenate([[0], np.cumsum(count_B)])
        if offsets[-1] > np.iinfo(np.int32).max:
            raise EventTableError(
                f"{offsets[-1]} list elements in one piece exceed Arrow's lists; read fewer rows at once"
            )
        places = np.repeat(start_B - offsets[:-1], count_B) + np.arange(offsets[-1])
        arrow_offsets, arrow_places = pa.array(offsets.astype(np.int32)), pa.array(places)
        return [
            pa.ListArray.from_arrays(arrow_offsets, _decode_dictionary(self._columns[name].take(arrow_places)))
            for name in self.features
        ]


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
