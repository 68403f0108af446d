"""Events as the event store gets them, and the rows that dbt makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from event_store.event_rules import EVENT_COLUMNS
from sequences import behaviors
from tests.support.sequences.event_rows import us

DURATION_MS = 100_000


def reported_event(event_id: str, user_id: str, second: float, **columns: Any) -> dict[str, Any]:
    """A row of the event store, by default a full play that ends at `second`."""
    values = {
        "event_id": event_id,
        "user_id": user_id,
        "sequence_number": 0,
        "target_type": "track",
        "target_id": "t1",
        "action": "play",
        "played_ms": 95_000,
        "occurred_at": us(second),
        "ended_at": us(second),
    } | columns
    row: dict[str, Any] = {column.name: values.get(column.name) for column in EVENT_COLUMNS}
    duration_ms = DURATION_MS if row["action"] == "play" else None
    row["played_ms"] = row["played_ms"] if row["action"] == "play" else None
    row["behavior"] = behaviors.load_behaviors().behavior_of(row["action"], row["played_ms"], duration_ms)
    return row | {"played_ratio": behaviors.played_ratio(row["played_ms"], duration_ms)}


def mart_event(row: dict[str, Any]) -> dict[str, Any]:
    """The event for `event_rows`, with the precision of the event table."""
    ratio = row.get("played_ratio")
    second = (row["ended_at"] - us(0)) / 1e6
    return row | {"second": second, "played_ratio": None if ratio is None else float(np.float32(ratio))}
