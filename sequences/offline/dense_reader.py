"""Training's reader: batches of sequences cut by offset from the event table, which is held once as flat arrays.

Nothing of size examples × L exists beyond the batch that is asked for. Legend: E events, U users, B requests, L events
of a row. The arrays are sorted by (user, known_at), as the event table is.

Knows nothing about torch, Feast or which examples training wants.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sequences.batch import UNKNOWN, Encoders, SequenceBatch, dtype_of, encoded_attributes
from sequences.offline.event_table import read_view
from sequences.timeline import EventTableError, Timeline, build_timeline, microseconds
from sequences.views import Attribute, SequenceView

__all__ = ["DenseReader", "EventTableError"]

USERS, OFFSETS, TIMES = "users.json", "_offset_U1", "_known_at_E"


class DenseReader:
    """The events of one view, in memory or mapped into it, with every user's place in them.

    Args:
        events_path: `marts/events.parquet`, sorted by user_id, known_at.
        view: which events count, and which attributes are read.
        encoders: attribute ▸ {text: code from 2}. String attributes without an encoder are not read.
        user_ids: whose events; None: everybody's.
        kept: a folder for the arrays of exactly this file, view, encoders and users: mapped from there, and written there
            where it is missing. None: they are held in memory.

    Attributes:
        columns: attribute ▸ flat [E] array: strings codes (1 unknown) in as few bytes as hold them all, times int64 µs,
            ratios float32 (0 where unknown). For full-sequence training take `columns["track_id"]`, `known_at_E` and
            `offset_U1`.

    Raises:
        EventTableError: the file is missing, lacks a column, or is not sorted.
    """

    def __init__(
        self,
        events_path: Path | str,
        view: SequenceView,
        encoders: Encoders,
        user_ids: pa.Array | None = None,
        cache_folder: Path | None = None,
    ) -> None:
        self.view = view
        self.encoders = encoders
        self._attributes = encoded_attributes(view, encoders)
        self.timeline: Timeline
        self.columns: dict[str, NDArray[Any]]
        if cache_folder is None or not cache_folder.exists():
            self._read(events_path, user_ids)
            if cache_folder is not None:
                self._save(cache_folder)
        if cache_folder is not None:
            self._load_mapped(cache_folder)

    def _read(self, events_path: Path | str, user_ids: pa.Array | None) -> None:
        encode = {a.name: _TextEncoder(self.encoders[a.name]) for a in self._attributes if a.kind == "string"}
        found: list[pa.Array] = []
        known_at: list[NDArray[np.int64]] = []
        parts: dict[str, list[NDArray[Any]]] = {a.name: [] for a in self._attributes}
        for rows in read_view(events_path, self.view, list(parts), user_ids):
            found.append(rows["user_id"])
            known_at.append(microseconds(rows["known_at"]))
            for attribute in self._attributes:
                parts[attribute.name].append(_to_flat_array(attribute, rows[attribute.name], encode))
        self.timeline = build_timeline(found, known_at)
        if not self.timeline.is_sorted:
            raise EventTableError(
                f"{events_path} is not sorted by user_id, known_at; rebuild the marts with `dbt build`"
            )
        self.columns = {
            a.name: np.concatenate(parts.pop(a.name)) if parts[a.name] else np.zeros(0, dtype=dtype_of(a))
            for a in self._attributes
        }

    def _save(self, folder: Path) -> None:
        """Write the arrays; whoever looks for them sees all of them or none."""
        writing = folder.with_name(f".{folder.name}.{os.getpid()}")
        writing.mkdir(parents=True, exist_ok=True)
        (writing / USERS).write_text(json.dumps(self.timeline.users))
        arrays = {OFFSETS: self.timeline.offset_U1, TIMES: self.timeline.known_at_E, **self.columns}
        for name, array in arrays.items():
            np.save(writing / f"{name}.npy", array)
        try:
            writing.rename(folder)
        except OSError:  # another process was first, with the same
            shutil.rmtree(writing)

    def _load_mapped(self, folder: Path) -> None:
        """Take the arrays from files: nothing is read before it is asked for, and all processes share what was."""
        users = json.loads((folder / USERS).read_text())
        self.timeline = Timeline(users, _memory_map(folder, OFFSETS), _memory_map(folder, TIMES))
        self.columns = {attribute.name: _memory_map(folder, attribute.name) for attribute in self._attributes}

    @property
    def users(self) -> list[str]:
        """The U user ids, in the table's order."""
        return self.timeline.users

    @property
    def offset_U1(self) -> NDArray[np.int64]:
        """User u's events are `offset_U1[u]:offset_U1[u + 1]` of every flat array."""
        return self.timeline.offset_U1

    @property
    def known_at_E(self) -> NDArray[np.int64]:
        """When each event became known, µs UTC; increasing within a user."""
        return self.timeline.known_at_E

    def index_of(self, user_ids: Sequence[str]) -> NDArray[np.int64]:
        """Each user's index in `users`, -1 for a user without events. Look up once, then `read_at`."""
        return self.timeline.index_of(user_ids)

    def slice_of(self, user_id: str) -> slice:
        """Where one user's whole history lies in the flat arrays; empty for a user without events."""
        return self.timeline.slice_of(user_id)

    def bounds(
        self, user_index_B: NDArray[np.int64], times_us_B: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each user's whole history as seen at the time begins and ends in the flat arrays: (first_B, end_B)."""
        return self.timeline.bounds(user_index_B, self.view.cutoff_us(times_us_B))

    def read(
        self,
        user_ids: Sequence[str],
        times_us: NDArray[np.int64] | Sequence[int],
        length: int | None = None,
        is_trimmed: bool = False,
    ) -> SequenceBatch:
        """The last `length` (the view's by default) events of each user seen at the time, in µs UTC: `known_at < time`, or
        before the midnight before it in a daily view.

        Trimmed, the batch is as wide as its longest sequence, else `length`.
        """
        return self.read_at(self.index_of(user_ids), np.asarray(times_us, dtype=np.int64), length, is_trimmed)

    def read_at(
        self,
        user_index_B: NDArray[np.int64],
        times_us_B: NDArray[np.int64],
        length: int | None = None,
        is_trimmed: bool = False,
    ) -> SequenceBatch:
        """`read` for users given by their index (see `index_of`)."""
        L = length or self.view.length
        first_B, end_B = self.bounds(user_index_B, times_us_B)
        start_B = np.maximum(first_B, end_B - L)
        if is_trimmed:
            L = max(int((end_B - start_B).max(initial=0)), 1)
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
        return SequenceBatch(columns=columns, length_B=end_B - start_B)


def _memory_map(folder: Path, name: str) -> NDArray[Any]:
    """An array of a file. Who writes into it changes their own copy of the page, not the file."""
    path = folder / f"{name}.npy"
    try:
        return np.load(path, mmap_mode="c", allow_pickle=False).view(np.ndarray)  # type: ignore[no-any-return]
    except ValueError:  # nothing cannot be mapped
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]


def _to_flat_array(attribute: Attribute, column: pa.Array, encode: Mapping[str, _TextEncoder]) -> NDArray[Any]:
    if attribute.kind == "string":
        return encode[attribute.name].encode(column)
    if attribute.kind == "time":
        return microseconds(column)
    ratio = pc.fill_null(column.cast(pa.float32()), 0.0).to_numpy(zero_copy_only=False)
    return np.asarray(np.nan_to_num(ratio, nan=0.0), dtype=np.float32)


class _TextEncoder:
    """Texts to codes, a column at a time, in as few bytes as hold them all: with millions of events that is worth it."""

    def __init__(self, code_of: Mapping[str, int]) -> None:
        self._texts = pa.array(code_of.keys(), pa.string())
        # Past the known texts: one that is not among them, which index_in gives as null.
        codes = np.array([*code_of.values(), UNKNOWN])
        self._codes = codes.astype(np.min_scalar_type(codes.max()))
        self._nothing = code_of.get("", UNKNOWN)

    def encode(self, column: pa.Array) -> NDArray[np.unsignedinteger[Any]]:
        if pa.types.is_dictionary(column.type):
            # Looked up once a text, not once an event. No text is the same as the empty one, as in readers' lists.
            codes = np.append(self.encode(column.dictionary), self._codes.dtype.type(self._nothing))
            return codes.take(_fill_null(column.indices, len(codes) - 1))
        place = _fill_null(pc.index_in(column, self._texts), len(self._texts))
        codes = self._codes.take(place)
        codes[column.is_null().to_numpy(zero_copy_only=False)] = self._nothing
        return codes


def _fill_null(places: pa.Array, missing: int) -> NDArray[Any]:
    filled: NDArray[Any] = pc.fill_null(places, missing).to_numpy(zero_copy_only=False)
    return filled
