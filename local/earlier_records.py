"""Moves what formats up to 6 kept in files of the recommender into its stores: `local.migrate`.

Events and responses that are not landed, private sessions with the ids of their events, and daily lists. An interrupted move is
completed by the next one.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from config.settings import Settings
from event_store.contract import COLUMN
from event_store.sqlite_database import SqliteDatabase
from event_store.sqlite_events import EVENTS_FILE, KEY_FILE, TABLES, SqliteEventStore
from event_store.sqlite_state import SqliteServingState
from event_store.store import DAY_US
from event_store.stored_event import ID_PERIOD_US
from sequences.behaviours import load_behaviours, played_ratio
from storage import daily_files, object_store
from storage.files import atomic_write
from storage.suppression_list import read_suppression_list

EVENTS_PER_REPORT = 10_000
EPOCH = date(1970, 1, 1)


def move_records(settings: Settings) -> None:
    """Move the records into the stores; call it while no service runs and the marts are still there.

    Raises:
        StoreUnavailable: A store cannot be written.
        SuppressionListError: The suppression list is damaged.
        sqlite3.Error: An earlier database is damaged.
    """
    folder, key = settings.serving_folder, settings.serving_folder / "private_events.key"
    if key.exists() and not (folder / KEY_FILE).exists():
        # First the file: a key without a file is the loss of the private sessions.
        SqliteDatabase(folder / EVENTS_FILE, "full", TABLES).close()
        atomic_write(folder / KEY_FILE, key.read_bytes(), is_durable=True, mode=0o600)
    erased, at_us = read_suppression_list(settings.suppression_list), [0]
    events = SqliteEventStore(folder, lambda: at_us[0])
    state = SqliteServingState(folder, lambda: time.time_ns() // 1000)
    with closing(events), closing(state):
        events.suppress(erased)
        state.suppress(erased)
        for at_us[0], rows in _logged(settings, "events"):
            events.append(_with_behaviors([row for row in rows if row.keys() >= {"event_id", "user_id"}], settings))
        for _, rows in _logged(settings, "exposures"):
            for row in rows:
                if row.get("items"):
                    state.add_exposure(row["user_id"], row)
        _move_private_sessions(folder, events)
        for user_id, day, key_of_list, text in _rows(folder / "daily_lists.sqlite", "daily_lists"):
            state.replace_list(user_id, day, key_of_list, None, text)


def _logged(settings: Settings, name: str) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Rows of a log that are not landed, oldest first, with the end of their day, µs UTC, but not after now."""
    table, live = {"events": "listening_events", "exposures": "exposures"}[name], settings.home / "live"
    replicas = [path for path in sorted(live.glob("*")) if path.is_dir() and not path.name.startswith("dt=")]
    for path in (path for log in (live, *replicas) for path in daily_files.list_files(log, name)):
        day = (date.fromisoformat(path.parent.name.removeprefix("dt=")) - EPOCH).days
        lines = daily_files.read_rows(path)
        while rows := list(islice(lines, EVENTS_PER_REPORT)):
            ids = [row.get("event_id") or f"{row.get('request_id')}-0" for row in rows]
            landed = _landed(settings.landing, table, ids)
            new = [row for row, event_id in zip(rows, ids, strict=True) if event_id not in landed]
            yield min((day + 1) * DAY_US - 1, time.time_ns() // 1000), new


def _landed(landing: Path, table: str, ids: Sequence[str]) -> set[str]:
    files = [str(file) for file in object_store.list_files(landing / table, "dt=*/*.parquet")]
    if not files:
        return set()
    query = "select event_id from read_parquet(?, hive_partitioning = false) where event_id in (select unnest(?))"
    with object_store.connect_duckdb(landing) as connection:
        return {event_id for (event_id,) in connection.execute(query, [files, list(ids)]).fetchall()}


def _with_behaviors(rows: Sequence[dict[str, Any]], settings: Settings) -> list[dict[str, Any]]:
    """Rows of the contract as the store keeps them, with the lengths of tracks in the marts."""
    behaviors, file = load_behaviours(), settings.marts / "tracks.parquet"
    wanted = pl.Series([row["target_id"] for row in rows], dtype=pl.String).implode()
    length_of: dict[str, int] = {}
    if file.exists():
        tracks = pl.read_parquet(object_store.open_arrow_source(file), columns=["track_id", "duration_ms"])
        length_of = dict(tracks.filter(pl.col("track_id").is_in(wanted)).iter_rows())
    events = []
    for row in rows:
        length_ms = length_of.get(row["target_id"]) if row["target_type"] == "track" else None
        behavior = behaviors.behaviour_of(row["action"], row.get("played_ms"), length_ms)
        derived = {"behaviour": behavior, "played_ratio": played_ratio(row.get("played_ms"), length_ms)}
        events.append({name: row.get(name) for name in COLUMN} | derived)
    return events


def _move_private_sessions(folder: Path, events: SqliteEventStore) -> None:
    path, reserved = folder / "private_sessions.sqlite", folder / "reserved_numbers"
    with events.database.write() as database:
        sessions = _rows(path, "private_sessions")
        database.executemany("insert or replace into private_sessions values (?, ?, ?)", sessions)
        codes = [(code[:16], day * DAY_US // ID_PERIOD_US) for code, day in _rows(path, "private_events")]
        database.executemany("insert or ignore into ids values (?, ?)", codes)
        if reserved.exists():  # numbers up to it may be in use
            number = "max(?, coalesce((select value from facts where name = 'number'), 0))"
            database.execute(f"insert or replace into facts values ('number', {number})", (int(reserved.read_text()),))  # noqa: S608


def _rows(path: Path, table: str) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"select * from {table}").fetchall()  # noqa: S608
