"""A tiny event table, and the oracle that every sequence reader must equal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sequences.sequence_views import SequenceView

EVENT_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.string()),
        ("event_number", pa.int64()),
        ("known_at", pa.timestamp("us")),
        ("request_at", pa.timestamp("us")),
        ("occurred_at", pa.timestamp("us")),
        ("ended_at", pa.timestamp("us")),
        ("action", pa.string()),
        ("behavior", pa.string()),
        ("target_type", pa.string()),
        ("target_id", pa.string()),
        ("track_id", pa.string()),
        ("artist_id", pa.string()),
        ("played_ms", pa.int64()),
        ("played_ratio", pa.float32()),
        ("session_id", pa.string()),
        ("scene", pa.string()),
        ("sequence_number", pa.int64()),
    ]
)
EPOCH = datetime(2024, 1, 1)
EPOCH_US = int(EPOCH.replace(tzinfo=UTC).timestamp()) * 1_000_000


def at(second: float) -> datetime:
    """The naive UTC time `second` seconds after `EPOCH`."""
    return EPOCH + timedelta(seconds=second)


def us(second: float) -> int:
    """The time `second` seconds after `EPOCH` in µs since 1970 UTC."""
    return EPOCH_US + round(second * 1_000_000)


def event_rows(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the event table from partial events (user_id, second, behavior, …): a simple version of dbt's models."""
    unique = {event["event_id"]: event for event in reversed(list(events))}.values()
    rows: list[dict[str, Any]] = []
    last: dict[str, datetime] = {}
    numbers: dict[str, int] = {}
    for event in sorted(unique, key=lambda e: (e["user_id"], e["second"], e["sequence_number"], e["event_id"])):
        user = event["user_id"]
        last[user] = known = max(at(event["second"]), last.get(user, datetime.min) + timedelta(microseconds=2))
        number = numbers.get(user, 0)
        numbers[user] = number + 1
        is_track = event.get("target_type", "track") == "track"
        target = event.get("target_id", "t1")
        rows.append(
            {
                "event_id": event["event_id"],
                "user_id": user,
                "event_number": number,
                "known_at": known,
                "request_at": at(event["second"] - 200),
                "occurred_at": at(event.get("occurred_second", event["second"])),
                "ended_at": at(event["second"]),
                "action": event.get("action", "play"),
                "behavior": event.get("behavior", "full_play"),
                "target_type": event.get("target_type", "track"),
                "target_id": target,
                "track_id": target if is_track else None,
                "artist_id": None,
                "played_ms": event.get("played_ms"),
                "played_ratio": event.get("played_ratio"),
                "session_id": None,
                "scene": event.get("scene"),
                "sequence_number": event["sequence_number"],
            }
        )
    return rows


def write_events(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write the rows as `events.parquet`, in small row groups so that users span several of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA), path, row_group_size=7)
    return path


def write_profiles(path: Path, rows: Sequence[dict[str, Any]] = ()) -> None:
    """Write the rows as `user_profiles.parquet`."""
    totals = ("plays_total", "listens_total", "full_plays_total", "skips_total", "tracks_total", "artists_total")
    columns = [("user_id", pa.string()), ("known_at", pa.timestamp("us")), *((name, pa.int64()) for name in totals)]
    pq.write_table(pa.Table.from_pylist(list(rows), pa.schema(columns)), path)


def oracle(rows: list[dict[str, Any]], view: SequenceView, user_id: str, time_us: int) -> list[dict[str, Any]]:
    """The definition of a view in plain Python: the user's last L events known before the time, oldest first.

    For a daily view: known before the last midnight before the time.
    """
    if view.is_daily:
        time_us -= time_us % 86_400_000_000
    return sorted(
        [
            row
            for row in rows
            if row["user_id"] == user_id
            and row["behavior"] in view.behaviors
            and (not view.target_types or row["target_type"] in view.target_types)
            and to_us(row["known_at"]) < time_us
        ],
        key=lambda row: row["known_at"],
    )[-view.length :]


def oracle_values(rows: list[dict[str, Any]], view: SequenceView, user_id: str, time_us: int) -> dict[str, list[Any]]:
    """The oracle's events as attribute ▸ list, with the types of the readers ("" and NaN for missing values)."""
    found = oracle(rows, view, user_id, time_us)
    return {a.name: [_value(a.kind, row[a.name]) for row in found] for a in view.attributes}


def _value(kind: str, value: Any) -> Any:
    if kind == "time":
        return to_us(value)
    if kind == "ratio":
        return float("nan") if value is None else value
    if kind == "order":
        return value
    return value or ""


def to_us(time: datetime) -> int:
    """A naive UTC time as µs since 1970."""
    return (time.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
