"""Training's reader: batches of sequences cut by offset from the event table, which is held once as flat arrays.

Nothing of size examples × L exists beyond the batch that is asked for. Legend: E events, U users, B requests, L events
of a row. The arrays are sorted by (user, known_at), as the event table is.

Knows nothing about torch, Feast or which examples training wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sequences.batch import UNKNOWN, Encoders, SequenceBatch, dtype_of, encoded_attributes
from sequences.definition import Attribute, SequenceView

ROWS_AT_ONCE = 262_144


class EventTableError(ValueError):
    """The event table is not what the reader needs; the message names the file and the remedy."""


class DenseReader:
    """The events of one view, in memory, with every user's place in them.

    Args:
        events_path: `marts/events.parquet`, sorted by user_id, known_at.
        view: which events count, and which attributes are read.
        encoders: attribute ▸ {text: code from 2}. String attributes without an encoder are not read.

    Attributes:
        users: the U user ids, sorted as the table is.
        offset_U1: int64 [U + 1]; user u's events are `offset_U1[u]:offset_U1[u + 1]` of every flat array.
        known_at_E: int64 µs UTC, increasing within a user.
        columns: attribute ▸ flat [E] array: strings int32 codes (1 unknown), times int64 µs, ratios float32 (0 where
            unknown). For full-sequence training take `columns["track_id"]`, `known_at_E` and `offset_U1`.

    Raises:
        EventTableError: the file is missing, lacks a column, or is not sorted.
    """

    def __init__(self, events_path: Path | str, view: SequenceView, encoders: Encoders) -> None:
        path = Path(events_path)
        if not path.exists():
            raise EventTableError(f"{path} does not exist; run `dbt build` first, it publishes the marts")
        self.view = view
        self.encoders = encoders
        self._attributes = encoded_attributes(view, encoders)
        chunks = list(_read(path, view, self._attributes, encoders))
        self.known_at_E: NDArray[np.int64] = _join([chunk.known_at for chunk in chunks], np.int64)
        self.columns: dict[str, NDArray[Any]] = {
            attribute.name: _join([chunk.columns[attribute.name] for chunk in chunks], _flat_dtype(attribute))
            for attribute in self._attributes
        }
        self.users, self.offset_U1 = _places(chunks)
        self._index_of = {user: index for index, user in enumerate(self.users)}
        self._require_order(path)

    def index_of(self, user_ids: Sequence[str]) -> NDArray[np.int64]:
        """Each user's index in `users`, -1 for a user without events. Look up once, then `read_at`."""
        place = self._index_of.get
        return np.fromiter((place(user, -1) for user in user_ids), dtype=np.int64, count=len(user_ids))

    def slice_of(self, user_id: str) -> slice:
        """Where one user's whole history lies in the flat arrays; empty for a user without events."""
        index = self._index_of.get(user_id)
        return slice(0, 0) if index is None else slice(int(self.offset_U1[index]), int(self.offset_U1[index + 1]))

    def read(
        self, user_ids: Sequence[str], times_us: NDArray[np.int64] | Sequence[int], length: int | None = None
    ) -> SequenceBatch:
        """The last `length` (the view's by default) events of each user with `known_at < time`, times in µs UTC."""
        return self.read_at(self.index_of(user_ids), np.asarray(times_us, dtype=np.int64), length)

    def read_at(
        self, user_index_B: NDArray[np.int64], times_us_B: NDArray[np.int64], length: int | None = None
    ) -> SequenceBatch:
        """`read` for users given by their index (see `index_of`)."""
        L = length or self.view.length
        first_B, end_B = self.bounds(user_index_B, times_us_B)
        start_B = np.maximum(first_B, end_B - L)
        count_B = end_B - start_B
        position_BL = start_B[:, None] + np.arange(L)
        padding_BL = position_BL >= end_B[:, None]
        # Any place inside the array will do for padding: it is overwritten.
        np.minimum(position_BL, max(len(self.known_at_E) - 1, 0), out=position_BL)
        columns: dict[str, NDArray[Any]] = {}
        for attribute in self._attributes:
            column_E = self.columns[attribute.name]
            if len(column_E):
                column_BL = column_E.take(position_BL).astype(dtype_of(attribute), copy=False)
                column_BL[padding_BL] = 0
            else:
                column_BL = np.zeros(position_BL.shape, dtype=dtype_of(attribute))
            columns[attribute.name] = column_BL
        return SequenceBatch(columns=columns, length_B=count_B)

    def bounds(
        self, user_index_B: NDArray[np.int64], times_us_B: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each user's events known before the time begin and end in the flat arrays: (first_B, end_B)."""
        if not self.users:
            nothing = np.zeros(len(user_index_B), dtype=np.int64)
            return nothing, nothing.copy()
        is_known_B = user_index_B >= 0
        safe_B = np.where(is_known_B, user_index_B, 0)
        first_B = self.offset_U1[safe_B]
        low_B, high_B = first_B.copy(), np.where(is_known_B, self.offset_U1[safe_B + 1], first_B)
        last = len(self.known_at_E) - 1
        # One binary search for the whole batch: every user's interval is halved at once.
        while True:
            is_open_B = low_B < high_B
            if not is_open_B.any():
                return first_B, low_B
            middle_B = (low_B + high_B) >> 1
            is_before_B = self.known_at_E.take(np.minimum(middle_B, last)) < times_us_B
            low_B = np.where(is_open_B & is_before_B, middle_B + 1, low_B)
            high_B = np.where(is_open_B & ~is_before_B, middle_B, high_B)

    def _require_order(self, path: Path) -> None:
        step_E = np.diff(self.known_at_E)
        step_E[self.offset_U1[1:-1] - 1] = 1
        if (step_E <= 0).any() or len(self._index_of) != len(self.users):
            raise EventTableError(f"{path} is not sorted by user_id, known_at; rebuild the marts with `dbt build`")


class _Chunk:
    """The events of the view in some consecutive rows of the file; users as runs."""

    def __init__(
        self, users: list[str], counts: NDArray[np.int64], known_at: NDArray[np.int64], columns: dict[str, NDArray[Any]]
    ) -> None:
        self.users, self.counts, self.known_at, self.columns = users, counts, known_at, columns


def _read(path: Path, view: SequenceView, attributes: tuple[Attribute, ...], encoders: Encoders) -> Iterator[_Chunk]:
    needed = list(dict.fromkeys(["user_id", "known_at", "behaviour", "target_type", *(a.name for a in attributes)]))
    behaviours, target_types = pa.array(view.behaviours, pa.string()), pa.array(view.target_types, pa.string())
    keys = {a.name: pa.array(encoders[a.name].keys(), pa.string()) for a in attributes if a.kind == "string"}
    # The last code stands for "not in the keys", which index_in gives as null.
    codes = {name: np.array([*encoders[name].values(), UNKNOWN], dtype=np.int32) for name in keys}
    with pq.ParquetFile(path) as file:
        missing = set(needed) - set(file.schema_arrow.names)
        if missing:
            raise EventTableError(f"{path} lacks the columns {sorted(missing)}; rebuild the marts with `dbt build`")
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=needed):
            wanted = pc.is_in(batch["behaviour"], behaviours)
            if view.target_types:
                wanted = pc.and_(wanted, pc.is_in(batch["target_type"], target_types))
            rows = batch.filter(wanted)
            if not rows.num_rows:
                continue
            columns: dict[str, NDArray[Any]] = {}
            for attribute in attributes:
                column = rows[attribute.name]
                if attribute.kind == "string":
                    place = pc.fill_null(pc.index_in(column, keys[attribute.name]), len(keys[attribute.name]))
                    columns[attribute.name] = codes[attribute.name].take(place.to_numpy(zero_copy_only=False))
                elif attribute.kind == "time":
                    columns[attribute.name] = microseconds(column)
                else:
                    ratio = pc.fill_null(column.cast(pa.float32()), 0.0).to_numpy(zero_copy_only=False)
                    columns[attribute.name] = np.nan_to_num(ratio, nan=0.0)
            runs = pc.run_end_encode(rows["user_id"])
            ends = np.asarray(runs.run_ends, dtype=np.int64)
            yield _Chunk(runs.values.to_pylist(), np.diff(ends, prepend=0), microseconds(rows["known_at"]), columns)


def microseconds(column: pa.Array) -> NDArray[np.int64]:
    """A timestamp column as int64 µs since 1970 UTC; null becomes 0."""
    return np.asarray(
        pc.fill_null(column.cast(pa.timestamp("us")).cast(pa.int64()), 0).to_numpy(zero_copy_only=False), dtype=np.int64
    )


def _places(chunks: list[_Chunk]) -> tuple[list[str], NDArray[np.int64]]:
    users: list[str] = []
    counts: list[int] = []
    for chunk in chunks:
        for user, count in zip(chunk.users, chunk.counts.tolist(), strict=True):
            if users and users[-1] == user:
                counts[-1] += count
            else:
                users.append(user)
                counts.append(count)
    return users, np.cumsum([0, *counts], dtype=np.int64)


def _flat_dtype(attribute: Attribute) -> type[Any]:
    # Codes fit 32 bits; with millions of events the other half is worth having.
    return np.int32 if attribute.kind == "string" else dtype_of(attribute)


def _join(parts: list[NDArray[Any]], dtype: type[Any]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)
