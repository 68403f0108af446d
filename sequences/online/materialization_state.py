"""State of materialization: a digest of every row in the online store, and the log of finished runs.

Only rows whose digest has changed are written. A digest is recorded after its row is written, so an interrupted run can
resume. The store contains a marker row with a random id that must equal the recorded one; otherwise the store was replaced or
emptied and the digests are discarded. The marker row is rewritten when a run finishes, which tells writers of live events that
the batch part has changed.

The log has one JSON line per run. The skew comparison reads it to determine what the online store contained at the time of a
request. Independent of sequences.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO

import feast

from sequences.online.codec import decode_values
from sequences.online.store_rows import STORE_MARKER_USER, OnlineRow, OnlineRowReader, to_list_value, write_rows
from sequences.views import LIVE_SOURCE
from storage import daily_files
from storage.file_lock import file_lock
from storage.mart_changes import read_published

MATERIALIZATION_LOG = "materialized.jsonl"
STORE_MARKER_FEATURE = "event_id"
MIN_TIMESTAMP_STEP = timedelta(milliseconds=1)

_SCHEMA = """
create table if not exists digests (view text, user_id text, digest blob, primary key (view, user_id)) without rowid;
create table if not exists facts (name text primary key, value text) without rowid;
"""


class MaterializationState:
    """Digests of the rows of one online store; used by one run at a time.

    Attributes:
        row_time: Timestamp of this run's rows, later than that of all earlier runs even if the clock was set back.
    """

    def __init__(self, path: Path, store: feast.FeatureStore) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._store = store
        self._view = store.get_feature_view(LIVE_SOURCE)
        self._connection = sqlite3.connect(path)
        # If the last digests are lost, their rows are written again.
        self._connection.executescript(f"pragma journal_mode = wal; pragma synchronous = normal; {_SCHEMA}")
        row = read_store_marker(store)
        stored_marker, expected_marker = decode_values(row.values[STORE_MARKER_FEATURE]), self._read_fact("mark")
        self.row_time = datetime.now(UTC)
        for earlier in (row.written_at, datetime.fromisoformat(self._read_fact("now") or "1970-01-01T00:00:00+00:00")):
            self.row_time = max(self.row_time, earlier + MIN_TIMESTAMP_STEP) if earlier else self.row_time
        if stored_marker != [expected_marker]:
            self._connection.execute("delete from digests")
            self._connection.execute("delete from facts")
            self._write_fact("mark", uuid.uuid4().hex)
        self._write_fact("now", self.row_time.isoformat())
        self._connection.commit()
        self._write_store_marker()

    @property
    def as_of(self) -> date | None:
        """The day of the last finished run, which wrote what was known before it; None before the first run."""
        stored = self._read_fact("as_of")
        return date.fromisoformat(stored) if stored else None

    def diff_rows(
        self, view: str, rows: Mapping[str, bytes], after: str, to: str | None
    ) -> tuple[list[str], list[str]]:
        """(users whose row differs from the stored one, users with a stored row but no row now).

        Args:
            view: Name of the view.
            rows: user ▸ digest of all users with a row in the range.
            after: Lower bound of the range of user ids, exclusive.
            to: Upper bound, inclusive; None: no bound.
        """
        stored = dict(
            self._connection.execute(
                "select user_id, digest from digests where view = ?1 and user_id > ?2 and (?3 is null or user_id <= ?3)",
                (view, after, to),
            )
        )
        changed = [user for user, digest in rows.items() if stored.get(user) != digest]
        return changed, sorted(stored.keys() - rows.keys())

    def read_digests(self, view: str, users: Iterable[str]) -> dict[str, bytes]:
        """user ▸ digest of the stored row, for those of the users who have one."""
        query = "select digest from digests where view = ? and user_id = ?"
        rows = ((user, self._connection.execute(query, (view, user)).fetchone()) for user in users)
        return {user: row[0] for user, row in rows if row}

    def record_written(self, view: str, digests: Iterable[tuple[str, bytes]]) -> None:
        """Record the digests of rows that were written."""
        self._connection.executemany(
            "insert or replace into digests values (?, ?, ?)", [(view, user, digest) for user, digest in digests]
        )
        self._connection.commit()

    def record_emptied(self, view: str, users: Iterable[str]) -> None:
        """Record that the rows of these users were emptied."""
        self._connection.executemany(
            "delete from digests where view = ? and user_id = ?", [(view, user) for user in users]
        )
        self._connection.commit()

    def distrust_rows(self) -> None:
        """Let this run write all rows again."""
        distrust_rows(self._connection)

    def take_source(self) -> str | None:
        """What the stored rows were computed from, as `finish` recorded it; None after a run that did not finish."""
        source = self._read_fact("source")
        self._connection.execute("delete from facts where name = 'source'")
        self._connection.commit()
        return source

    def finish(self, as_of: date, source: str | None = None) -> None:
        """Record that everything known before `as_of` has been written, and rewrite the marker row.

        Args:
            as_of: The materialized day.
            source: What the rows were computed from, for the next run; None: it must read everything.
        """
        self._write_fact("as_of", as_of.isoformat())
        if source is not None:
            self._write_fact("source", source)
        self.row_time = max(datetime.now(UTC), self.row_time + MIN_TIMESTAMP_STEP)
        self._write_fact("now", self.row_time.isoformat())
        self._connection.commit()
        self._write_store_marker()

    def close(self) -> None:
        """Close the database of digests."""
        self._connection.close()

    def _write_store_marker(self) -> None:
        self.row_time += MIN_TIMESTAMP_STEP
        write_rows(
            self._store,
            self._view,
            [
                (
                    STORE_MARKER_USER,
                    {STORE_MARKER_FEATURE: to_list_value("string", [self._read_fact("mark")])},
                    self.row_time,
                )
            ],
        )

    def _read_fact(self, name: str) -> str | None:
        row = self._connection.execute("select value from facts where name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def _write_fact(self, name: str, value: str) -> None:
        self._connection.execute("insert or replace into facts values (?, ?)", (name, value))


def read_store_marker(store: feast.FeatureStore) -> OnlineRow:
    """The marker row; its time is that of the last start or end of a run."""
    return OnlineRowReader(store, {LIVE_SOURCE: [STORE_MARKER_FEATURE]}).read([STORE_MARKER_USER])[0][LIVE_SOURCE]


def distrust_rows(digests: sqlite3.Connection, view: str | None = None) -> None:
    """Let the next run write all rows of a view again, or of all views."""
    digests.execute("update digests set digest = x'' where ?1 is null or view = ?1", (view,))
    digests.execute("delete from facts where name = 'source'")
    digests.commit()


def digests_file(folder: Path, online_store: str) -> Path:
    """Path of the digest database of an online store type, in Feast's folder."""
    return folder / f"materialized-{online_store}.db"


def materialization_lock(path: Path) -> IO[str]:
    """Exclusive lock for writing the batch part of the store with the digest database `path`; waits for its holder."""
    return file_lock(path.with_suffix(".lock"))


def materialized_users(path: Path, limit: int, after: str = "") -> list[str]:
    """Sorted ids, greater than `after`, of at most `limit` users with a materialized row; empty before the first
    materialization.
    """
    if not path.exists():
        return []
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        query = "select distinct user_id from digests where user_id > ? order by user_id limit ?"
        rows = connection.execute(query, (after, limit))
        return [str(user) for (user,) in rows]
    finally:
        connection.close()


def row_digest(values: Mapping[str, bytes]) -> bytes:
    """16-byte digest of a row."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in values.items():
        digest.update(f"{name}\0{len(value)}\0".encode())
        digest.update(value)
    return digest.digest()


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
    midnight = datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC)
    line = {
        "as_of_us": int(midnight.timestamp()) * 1_000_000,
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
    return [MaterializationRun(**row) for row, _ in rows]
