"""Converts the events of a simulated day to contract rows. Shape letter: E events."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion import contract
from ingestion.simulation.catalog import PREFIX, make_ids
from ingestion.simulation.event_buffer import Columns
from ingestion.simulation.sessions import DEVICES, PRODUCT_SCENES
from ingestion.simulation.world import Ints, World


class RowWriter:
    """Converts indices to ids and names, which are created once per simulation."""

    def __init__(self, world: World, users: int, seed: int) -> None:
        counts = {
            "track": world.tracks,
            "playlist": len(world.interest_P),
            "album": int(world.album_V.max()) + 1,
            "artist": len(world.interest_A),
            "mlog": len(world.track_M),
        }
        self._seed = seed
        names = [make_ids(target_type, counts[target_type]) for target_type in contract.TARGET_TYPES]
        self._offset = np.r_[0, np.cumsum([len(part) for part in names])]
        self._targets = pa.array([name for part in names for name in part])
        self._contexts = pa.array(
            [f"{kind}:{name}" for kind, part in zip(contract.TARGET_TYPES, names, strict=True) for name in part]
        )
        self.user_ids = pa.array([f"u{user}" for user in range(users)])
        assert set(PREFIX) == set(contract.TARGET_TYPES)  # noqa: S101 - ids of different types must differ

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
            "event_id": self.event_ids(len(place_E), number),
            "user_id": self.user_ids.take(pa.array(columns["user"])),
            "sequence_number": pa.array(sequence_E),
            "target_type": _decode_names(columns["target_type"], contract.TARGET_TYPES),
            "target_id": self._targets.take(pa.array(place_E)),
            "occurred_at": pa.array(columns["begin"] + midnight).cast(contract.TIME),
            "ended_at": pa.array(columns["end"] + midnight).cast(contract.TIME),
            "action": _decode_names(columns["action"], contract.ACTIONS),
            "played_ms": pa.array(columns["played_ms"], mask=columns["played_ms"] < 0),
            "scene": _decode_names(columns["scene"], PRODUCT_SCENES),
            "context_id": self._contexts.take(pa.array(context_E, mask=~has_context)),
            "request_id": self._numbered(columns["request"], f"s{self._seed}d{number}q"),
            "position": pa.array(columns["position"], mask=columns["position"] < 0),
            "propensity": pa.array(np.minimum(columns["propensity"], 1.0), mask=np.isnan(columns["propensity"])),
            "device": _decode_names(columns["device"], DEVICES),
        }
        return pa.Table.from_arrays(
            [arrays[name] for name in contract.LISTENING_EVENTS.names], schema=contract.LISTENING_EVENTS
        )

    def event_ids(self, count: int, number: int) -> pa.Array:
        """Ids of `count` events of day `number`, in order."""
        return self._numbered(np.arange(count), f"s{self._seed}d{number}n")

    @staticmethod
    def _numbered(numbers: Ints, prefix: str) -> pa.Array:
        text = pa.array(numbers, mask=numbers < 0).cast(pa.string())
        return pc.binary_join_element_wise(pa.scalar(prefix), text, "")


def _decode_names(codes: np.ndarray, names: tuple[str, ...]) -> pa.Array:
    indices = pa.array(codes, pa.int8(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names)).dictionary_decode()
