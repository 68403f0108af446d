"""Dense reader for training: batches of sequences sliced from the event table, which is held as flat arrays.

Memory is proportional to the events plus one batch, never to examples × L. Legend: E events, U users, B requests, L
events of a row. The arrays are sorted by (user, known_at), as the event table is.

Independent of torch, Feast and the selection of examples.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sequences.offline.event_table import read_view
from sequences.sequence_batch import UNKNOWN, Encoders, SequenceBatch, dtype_of, encoded_attributes
from sequences.sequence_views import Attribute, SequenceView
from sequences.timeline import Timeline, gather, microseconds

USERS, OFFSETS, TIMES = "users.json", "_offset_U1", "_known_at_E"


class DenseReader:
    """Point-in-time reader of one view, in memory or memory-mapped.

    Args:
        events_path: `marts/events.parquet`, sorted by user_id, known_at.
        view: Determines the events and attributes that are read.
        encoders: attribute ▸ {text: code from 2}. String attributes without an encoder are not read.
        user_ids: Users to read; None: all.
        cache_folder: Folder for the arrays of exactly this file, view, encoders and users. They are memory-mapped from it,
            and written to it if it is missing. None: the arrays are held in memory.

    Attributes:
        columns: attribute ▸ flat [E] array: strings as codes (1 unknown) of the smallest sufficient integer type, times
            int64 µs UTC, ratios float32 (0 if unknown). For full-sequence training use `columns["track_id"]`,
            `known_at_E` and `offset_U1`.
        users, offset_U1, known_at_E: See `Timeline`.

    Raises:
        EventTableError: The file is missing, lacks a column, or is not sorted.
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
        self.users, self.offset_U1 = self.timeline.users, self.timeline.offset_U1
        self.known_at_E = self.timeline.known_at_E

    def _read(self, events_path: Path | str, user_ids: pa.Array | None) -> None:
        convert = {attribute.name: _make_converter(attribute, self.encoders) for attribute in self._attributes}
        events = read_view(events_path, self.view, list(convert), user_ids)
        self.timeline, parts = gather(events, convert, events_path)
        self.columns = {
            a.name: np.concatenate(parts.pop(a.name)) if parts[a.name] else np.zeros(0, dtype=dtype_of(a))
            for a in self._attributes
        }

    def _save(self, folder: Path) -> None:
        """Write the arrays atomically: readers see all of them or none."""
        writing = folder.with_name(f".{folder.name}.{os.getpid()}")
        writing.mkdir(parents=True, exist_ok=True)
        (writing / USERS).write_text(json.dumps(self.timeline.users))
        arrays = {OFFSETS: self.timeline.offset_U1, TIMES: self.timeline.known_at_E, **self.columns}
        for name, array in arrays.items():
            np.save(writing / f"{name}.npy", array)
        try:
            writing.rename(folder)
        except OSError:  # another process has written the same arrays
            shutil.rmtree(writing)

    def _load_mapped(self, folder: Path) -> None:
        """Memory-map the arrays: pages are read on demand and shared between processes."""
        users = json.loads((folder / USERS).read_text())
        self.timeline = Timeline(users, _memory_map(folder, OFFSETS), _memory_map(folder, TIMES))
        self.columns = {attribute.name: _memory_map(folder, attribute.name) for attribute in self._attributes}

    def read(
        self,
        user_ids: Sequence[str],
        times_us: NDArray[np.int64] | Sequence[int],
        length: int | None = None,
        is_trimmed: bool = False,
    ) -> SequenceBatch:
        """The last events of each user that are visible at a time.

        Visible means `known_at < time`; in a daily view, before the last midnight before the time.

        Args:
            user_ids: B users.
            times_us: B times, µs UTC.
            length: Maximum number of events per row, the view's length by default.
            is_trimmed: Whether the batch is as wide as its longest sequence instead of `length`.
        """
        L = length or self.view.length
        before_us_B = self.view.cutoff_us(np.asarray(times_us, dtype=np.int64))
        start_B, end_B = self.timeline.latest(self.timeline.index_of(user_ids), before_us_B, L)
        if is_trimmed:
            L = max(int((end_B - start_B).max(initial=0)), 1)
        position_BL = start_B[:, None] + np.arange(L)
        padding_BL = position_BL >= end_B[:, None]
        # Any valid position will do for padding; the values are overwritten.
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
    """A memory-mapped array (copy-on-write: writing to it does not change the file)."""
    path = folder / f"{name}.npy"
    try:
        return np.load(path, mmap_mode="c", allow_pickle=False).view(np.ndarray)
    except ValueError:  # an empty array cannot be mapped
        return np.load(path, allow_pickle=False)


def _make_converter(attribute: Attribute, encoders: Encoders) -> Callable[[pa.Array], NDArray[Any]]:
    """What makes a flat array of a column of the event table."""
    if attribute.kind == "string":
        return _TextEncoder(encoders[attribute.name]).encode
    return microseconds if attribute.kind == "time" else _to_ratios


def _to_ratios(column: pa.Array) -> NDArray[np.float32]:
    ratio = pc.fill_null(column.cast(pa.float32()), 0.0).to_numpy(zero_copy_only=False)
    return np.asarray(np.nan_to_num(ratio, nan=0.0), dtype=np.float32)


class _TextEncoder:
    """Encoder of text columns to codes of the smallest sufficient integer type, which saves memory per event."""

    def __init__(self, code_of: Mapping[str, int]) -> None:
        self._texts = pa.array(code_of.keys(), pa.string())
        # The last code is for unknown texts, which index_in returns as null.
        codes = np.array([*code_of.values(), UNKNOWN])
        self._codes = codes.astype(np.min_scalar_type(codes.max()))
        self._null_code = code_of.get("", UNKNOWN)

    def encode(self, column: pa.Array) -> NDArray[np.unsignedinteger[Any]]:
        if pa.types.is_dictionary(column.type):
            # One lookup per distinct text. Null is encoded as the empty text, as in the lists of other readers.
            codes = np.append(self.encode(column.dictionary), self._codes.dtype.type(self._null_code))
            return codes.take(_fill_null(column.indices, len(codes) - 1))
        place = _fill_null(pc.index_in(column, self._texts), len(self._texts))
        codes = self._codes.take(place)
        codes[column.is_null().to_numpy(zero_copy_only=False)] = self._null_code
        return codes


def _fill_null(places: pa.Array, missing: int) -> NDArray[Any]:
    return pc.fill_null(places, missing).to_numpy(zero_copy_only=False)
