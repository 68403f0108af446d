"""What the rows of an online store contain, kept in a row of the store itself, so that a restored or replaced store cannot claim
more than it has.

The row has the position in the event store up to which the rows have every event, and what they were computed from, so that
the next run reads only the users that changed. While a run writes, and after others have written rows, it claims only what holds
meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO

import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import Entity, FeatureView, Field, ValueType
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Int64, String

from event_store.store import EventStore, Position
from storage.file_lock import file_lock

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
        Field(name="as_of", dtype=String),
        Field(name="build", dtype=Int64),
        Field(name="source", dtype=String),
    ],
)
"""View of the row; it is not in the registry, because no model reads it."""
STATE_USER = ""
"""Reserved user id of the row; real user ids are never empty."""


@dataclass(frozen=True)
class StoredState:
    """What the rows of an online store contain."""

    position: Position | None = None  # every event of the event store up to here is in the rows
    as_of: str = ""  # last day that a run has written
    build: int = 0  # newest one of the mart `changed_users` whose changes are in the rows
    source: str = ""  # hash of the views of the rows, or who is writing them; empty: the next run must read everything

    @classmethod
    def of(cls, values: Mapping[str, Value] | None) -> StoredState:
        """The state in a row, feature ▸ value; None: the row was never written."""
        if not values or "source" not in values:
            return cls()
        store, seq = values["event_store"].string_val, values["event_seq"].int64_val
        position = Position(store, seq) if store else None
        return cls(position, values["as_of"].string_val, values["build"].int64_val, values["source"].string_val)

    def to_values(self) -> dict[str, Value]:
        """The features of the row."""
        return {
            "event_store": Value(string_val=self.position.store if self.position else ""),
            "event_seq": Value(int64_val=self.position.seq if self.position else 0),
            "as_of": Value(string_val=self.as_of),
            "build": Value(int64_val=self.build),
            "source": Value(string_val=self.source),
        }


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
    landings, events = marts / "landings.parquet", marts / "events.parquet"
    # A build publishes the landings before the events.
    if not landings.exists() or landings.stat().st_mtime_ns > events.stat().st_mtime_ns:
        return 0
    table = pq.read_table(landings, columns=["event_seq"], filters=[("event_store", "=", event_store)])
    return pc.max(table["event_seq"]).as_py() or 0


def earlier_position(one: Position | None, other: Position | None) -> Position | None:
    """The earlier of two positions of one event store; None if they are of two, or one is not known."""
    if one is None or other is None or one.store != other.store:
        return None
    return min(one, other, key=lambda position: position.seq)


def materialization_lock(feast_folder: Path, online_store: str) -> IO[str]:
    """Exclusive lock for writing an online store, `sqlite` or `redis`; waits for its holder."""
    return file_lock(feast_folder / f"materialized-{online_store}.lock")


def midnight_us(day: date) -> int:
    """The begin of a day, µs UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
