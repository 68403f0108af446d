"""Columnar buffer of the events of a simulated day, and their conversion to contract rows. Shape letter: E events."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from event_store.behaviors import ACTIONS, TARGET_TYPES
from ingestion import landed_tables
from ingestion.simulation.catalog_rows import make_ids
from ingestion.simulation.sessions import DEVICES, PRODUCT_SCENES
from ingestion.simulation.world import Ints, World

# Column -> (type, default value). Times are microseconds after midnight; -1 means null.
COLUMNS: dict[str, tuple[type, float]] = {
    "user": (np.int64, -1),
    "target_type": (np.int8, 0),
    "target": (np.int64, -1),
    "begin": (np.int64, -1),
    "end": (np.int64, -1),
    "action": (np.int8, 0),
    "played_ms": (np.int64, -1),
    "scene": (np.int8, -1),
    "context_type": (np.int8, -1),
    "context": (np.int64, -1),
    "request": (np.int64, -1),
    "position": (np.int32, -1),
    "device": (np.int8, -1),
}

SHARED = ("user", "target", "scene", "context_type", "context", "request", "position", "device")
"""Columns of a play that its impression, click and feedback have, too."""

Columns = dict[str, NDArray[Any]]


class EventBuffer:
    """Collects events in blocks. A column is an array, a constant, or omitted."""

    def __init__(self) -> None:
        self._pieces: list[Columns] = []

    def add(self, rows: NDArray[Any], **columns: NDArray[Any] | float) -> None:
        """Add the events of some rows of the columns: a mask, or indices. Without `end`, events end when they begin."""
        given = {name: value[rows] if isinstance(value, np.ndarray) else value for name, value in columns.items()}
        given.setdefault("end", given["begin"])
        shape = np.shape(given["user"])
        self._pieces.append(
            {
                name: np.broadcast_to(given.get(name, missing), shape).astype(kind)
                for name, (kind, missing) in COLUMNS.items()
            }
        )

    def columns(self) -> Columns:
        """All events, ordered by user, end and action."""
        merged = {name: np.concatenate([piece[name] for piece in self._pieces]) for name in COLUMNS}
        # One combined integer key sorts faster than three keys; a day has fewer than 2^37 µs.
        key = (merged["user"] << 41) | (merged["end"] << 4) | merged["action"]
        order = np.argsort(key, kind="stable")
        return {name: values[order] for name, values in merged.items()}


class RowWriter:
    """Converts buffered events to contract rows: indices to ids and names, which are created once per simulation."""

    def __init__(self, world: World, users: int, seed: int) -> None:
        counts = {
            "track": world.tracks,
            "playlist": len(world.interest_P),
            "album": int(world.album_V.max()) + 1,
            "artist": len(world.interest_A),
            "mlog": len(world.track_M),
        }
        self._seed = seed
        names = [make_ids(target_type, counts[target_type]) for target_type in TARGET_TYPES]
        self._offset = np.r_[0, np.cumsum([len(part) for part in names])]
        self._targets = pa.array([name for part in names for name in part])
        self._contexts = pa.array(
            [f"{kind}:{name}" for kind, part in zip(TARGET_TYPES, names, strict=True) for name in part]
        )
        self._user_ids = pa.array([f"u{user}" for user in range(users)])

    def events(self, columns: Columns, day: date, number: int, sequence_E: Ints) -> pa.Table:
        """Rows of `listening_events` of one day.

        Args:
            columns: The events.
            day: Date of the day.
            number: Number of the day, from 0.
            sequence_E: Sequence number of each event within its user.
        """
        midnight = np.datetime64(day, "us").astype(np.int64)
        place_E = self._offset[columns["target_type"]] + columns["target"]
        has_context = columns["context_type"] >= 0
        context_E = self._offset[np.maximum(columns["context_type"], 0)] + columns["context"]
        arrays = {
            "event_id": self._numbered(np.arange(len(place_E)), f"s{self._seed}d{number}n"),
            "user_id": self._user_ids.take(pa.array(columns["user"])),
            "sequence_number": pa.array(sequence_E),
            "target_type": _decode_names(columns["target_type"], TARGET_TYPES),
            "target_id": self._targets.take(pa.array(place_E)),
            "occurred_at": pa.array(columns["begin"] + midnight).cast(landed_tables.TIME),
            "ended_at": pa.array(columns["end"] + midnight).cast(landed_tables.TIME),
            "action": _decode_names(columns["action"], ACTIONS),
            "played_ms": pa.array(columns["played_ms"], mask=columns["played_ms"] < 0),
            "scene": _decode_names(columns["scene"], PRODUCT_SCENES),
            "context_id": self._contexts.take(pa.array(context_E, mask=~has_context)),
            "request_id": self._numbered(columns["request"], f"s{self._seed}d{number}q"),
            "position": pa.array(columns["position"], mask=columns["position"] < 0),
            "propensity": pa.nulls(len(place_E), pa.float64()),
            "device": _decode_names(columns["device"], DEVICES),
        }
        return pa.Table.from_arrays(
            [arrays[name] for name in landed_tables.LISTENING_EVENTS.names], schema=landed_tables.LISTENING_EVENTS
        )

    @staticmethod
    def _numbered(numbers: Ints, prefix: str) -> pa.Array:
        text = pa.array(numbers, mask=numbers < 0).cast(pa.string())
        return pc.binary_join_element_wise(pa.scalar(prefix), text, "")


def _decode_names(codes: np.ndarray, names: tuple[str, ...]) -> pa.Array:
    indices = pa.array(codes, pa.int8(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names)).dictionary_decode()
