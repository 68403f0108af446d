"""What the rows of an online store contain, kept in a row of the store itself, and the log of finished runs.

The row has the position in the event store up to which the rows have every event, so that a restored or replaced store cannot
claim more than it has, and what the rows were computed from, so that the next run reads only what changed. While a run writes, and
after rows were written by others, the row claims only what holds meanwhile.

The log has one JSON line per run. The skew comparison reads it to determine what the online store contained at the time of a
request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from heapq import nsmallest
from pathlib import Path
from typing import IO, Any

import feast
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import Entity, FeatureView, Field, ValueType
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Int64, String

from event_store.store import EventStore, Position
from sequences.feast_store import open_store
from sequences.online.codec import decode_values
from sequences.online.store_rows import STATE_USER, OnlineRowReader, is_redis, stored_users, write_rows
from storage import daily_files
from storage.file_lock import file_lock
from storage.mart_changes import read_published

MATERIALIZATION_LOG = "materialized.jsonl"
ROW_TIME_STEP = timedelta(seconds=1)
"""Least difference of the times of two runs' rows: SQLite keeps seconds."""
CLOCK_ERROR = timedelta(minutes=6)
"""An event is known at most that much after it was received: clocks of devices may be 5 minutes ahead, and events that end together
are known one after the other."""
STATE_VIEW = FeatureView(
    name="materialization",
    entities=[Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)],
    schema=[
        Field(name="user_id", dtype=String),
        Field(name="event_store", dtype=String),
        Field(name="event_seq", dtype=Int64),
        Field(name="run", dtype=String),
    ],
)
"""View of the row; it is not in the registry, because no model reads it."""
STATE_FEATURES = tuple(feature.name for feature in STATE_VIEW.features)


@dataclass(frozen=True)
class StoreContent:
    """What the rows of an online store contain."""

    row_time: str = datetime.min.replace(tzinfo=UTC).isoformat()  # of the last run's rows
    position: Position | None = None  # every event of the event store up to here is in the rows
    as_of: str | None = None  # last day that a run has written
    source: str | None = None  # `Source.to_json` of the rows; None: the next run must read everything
    is_being_written: bool = False  # by a run, since when no one else has written rows

    def after(self, time: datetime) -> datetime:
        """Time of the next run's rows: `time` unless the clock was set back."""
        return max(time, datetime.fromisoformat(self.row_time) + ROW_TIME_STEP)

    def to_values(self) -> dict[str, Value]:
        """The features of the row."""
        run = {name: value for name, value in vars(self).items() if name != "position"}
        return {
            "event_store": Value(string_val=self.position.store if self.position else ""),
            "event_seq": Value(int64_val=self.position.seq if self.position else 0),
            "run": Value(string_val=json.dumps(run)),
        }

    @classmethod
    def of(cls, row: Mapping[str, Sequence[Any]]) -> StoreContent:
        """The content of a row, feature ▸ list with its value; nothing if the row was never written."""
        return cls(position=position_of(row), **json.loads(row["run"][0])) if row.get("run") else cls()


def position_of(row: Mapping[str, Sequence[Any]]) -> Position | None:
    """The position of a row, feature ▸ list with its value; None if nothing is known."""
    store = row.get("event_store")
    return Position(store[0], row["event_seq"][0]) if store and store[0] else None


def forget_content(row: Mapping[str, Sequence[Any]]) -> dict[str, Value] | None:
    """The features of the row after others have written rows; None if it claims nothing."""
    content = StoreContent.of(row)
    nothing = StoreContent(row_time=content.row_time, as_of=content.as_of)
    return nothing.to_values() if content != nothing else None


def read_content(store: feast.FeatureStore) -> StoreContent:
    """What the rows of the store contain."""
    (rows,) = OnlineRowReader(store, {STATE_VIEW: STATE_FEATURES}).read([STATE_USER])
    return StoreContent.of({name: decode_values(value) for name, value in rows[STATE_VIEW.name].values.items()})


def write_content(store: feast.FeatureStore, content: StoreContent) -> None:
    """Replace the row of the store."""
    write_rows(store, STATE_VIEW, [(STATE_USER, content.to_values(), datetime.fromisoformat(content.row_time))])


def materialized_position(events: EventStore, as_of: date, marts: Path) -> Position:
    """The position up to which rows of a day will have every event: landed, and surely known before the day.

    Args:
        events: The event store.
        as_of: Day before which events are materialized (UTC midnight).
        marts: Folder of the published marts, before they are read.
    """
    received_us = midnight_us(as_of) - CLOCK_ERROR // timedelta(microseconds=1)
    return Position(events.id, min(landed_position(marts, events.id), events.last_before(received_us)))


def landed_position(marts: Path, event_store: str) -> int:
    """The number up to which all events of an event store are in the published event table; 0 if that is not known."""
    landings = read_published(marts, "landings")
    if not landings.whole.exists():
        return 0
    # A build publishes the landings before the events.
    if landings.published_at_ns > read_published(marts, "events").published_at_ns:
        return 0
    if not {"event_store", "event_seq"} <= {*pq.read_schema(landings.whole).names}:
        return 0
    table = pq.read_table(landings.whole, columns=["event_seq"], filters=[("event_store", "=", event_store)])
    return pc.max(table["event_seq"]).as_py() or 0


def earlier_position(one: Position | None, other: Position | None) -> Position | None:
    """The earlier of two positions of one event store; None if they are of two, or one is not known."""
    if one is None or other is None or one.store != other.store:
        return None
    return min(one, other, key=lambda position: position.seq)


def materialized_users(limit: int, after: str = "") -> list[str]:
    """Sorted ids, greater than `after`, of at most `limit` users with a row in the online store of the settings."""
    store = open_store()
    users = stored_users(store, store.list_batch_feature_views())
    return nsmallest(limit, (user for user in users if user > after))


def materialization_lock(feast_folder: Path, online_store: str) -> IO[str]:
    """Exclusive lock for writing an online store, `sqlite` or `redis`; waits for its holder."""
    return file_lock(feast_folder / f"materialized-{online_store}.lock")


def lock_of(store: feast.FeatureStore) -> IO[str]:
    """`materialization_lock` of a store, next to its registry."""
    return materialization_lock(Path(store.config.registry.path).parent, "redis" if is_redis(store) else "sqlite")


def midnight_us(day: date) -> int:
    """The begin of a day, µs UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


@dataclass(frozen=True)
class MaterializationRun:
    """One finished materialization run; times in µs UTC."""

    as_of_us: int  # events known before this time were written
    events_us: int  # publication time of the event table that was read
    finished_us: int


def record_materialization(feast_folder: Path, as_of: date, marts: Path) -> None:
    """Append a run that has just finished.

    Args:
        feast_folder: Feast's folder, which contains the log.
        as_of: Day before which the events were known (UTC midnight).
        marts: Folder of the event table that was read; the time of its publication is recorded.
    """
    line = {
        "as_of_us": midnight_us(as_of),
        "events_us": read_published(marts, "events").published_at_ns // 1000,
        "finished_us": int(datetime.now(UTC).timestamp() * 1_000_000),
    }
    path = feast_folder / MATERIALIZATION_LOG
    if path.exists():
        daily_files.truncate_torn_line(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_materializations(feast_folder: Path) -> list[MaterializationRun]:
    """The finished runs, oldest first, without a line that could not be written whole."""
    path = feast_folder / MATERIALIZATION_LOG
    rows = daily_files.read_rows(path) if path.exists() else ()
    return [MaterializationRun(**row) for row in rows]
