"""Columnar buffer of the events of a simulated day, before conversion to contract rows. Shape letter: E events."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Column -> (type, default value). Times are microseconds after midnight; -1 and NaN mean null.
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
    "propensity": (np.float64, np.nan),
    "device": (np.int8, -1),
    "affinity": (np.float32, np.nan),  # this and the following columns are ground truth and not in the log
    "mood_interest": (np.int16, -1),
    "mood_emotion": (np.int16, -1),
}

Columns = dict[str, NDArray[Any]]


class EventBuffer:
    """Collects events in blocks. A column is an array [E], a constant, or omitted."""

    def __init__(self) -> None:
        self._pieces: list[Columns] = []

    def add(self, user: NDArray[Any], **columns: NDArray[Any] | float) -> None:
        """Add one event per entry of `user`. Without `end`, events end when they begin."""
        count = len(user)
        if count == 0:
            return
        given: dict[str, Any] = {"user": user, **columns}
        given.setdefault("end", given["begin"])
        piece: Columns = {}
        for name, (kind, missing) in COLUMNS.items():
            value = given.get(name, missing)
            piece[name] = value.astype(kind) if isinstance(value, np.ndarray) else np.full(count, value, kind)
        self._pieces.append(piece)

    def columns(self) -> Columns:
        """All events, ordered by user, end and action."""
        if not self._pieces:
            return {name: np.empty(0, kind) for name, (kind, _) in COLUMNS.items()}
        merged = {name: np.concatenate([piece[name] for piece in self._pieces]) for name in COLUMNS}
        # One combined integer key sorts faster than three keys; a day has fewer than 2^37 µs.
        key = (merged["user"] << 41) | (merged["end"] << 4) | merged["action"]
        order = np.argsort(key, kind="stable")
        return {name: values[order] for name, values in merged.items()}
