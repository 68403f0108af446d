"""What the online store holds by materialisation: a digest of every row, so that only rows that changed are written.

A digest is noted after its row is in the store, so a run that was cut off goes on where it was. The store carries a mark
that must be ours: another store, or one that was emptied, has nothing of what the digests say. The mark's row is written
again when a run has finished, which tells the writers of live events that the batch part has moved on.
Knows nothing about sequences.
"""

from __future__ import annotations

import fcntl
import hashlib
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import feast

from sequences.online.codec import decode_values
from sequences.online.row import STORE_MARKER_USER, OnlineRow, OnlineRowReader, to_list_value, write_rows
from sequences.views import LIVE_SOURCE

STORE_MARKER_FEATURE = "event_id"
MIN_TIMESTAMP_STEP = timedelta(milliseconds=1)

_SCHEMA = """
create table if not exists digests (view text, user_id text, digest blob, primary key (view, user_id)) without rowid;
create table if not exists facts (name text primary key, value text) without rowid;
"""


class MaterializationState:
    """The digests of one online store's rows; one run at a time.

    Attributes:
        now: the time of this run's rows, later than that of any run before, whatever the clock says.
    """

    def __init__(self, path: Path, store: feast.FeatureStore) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._store = store
        self._view = store.get_feature_view(LIVE_SOURCE)
        self._connection = sqlite3.connect(path)
        # Losing the last digests only means writing those rows again.
        self._connection.executescript(f"pragma journal_mode = wal; pragma synchronous = normal; {_SCHEMA}")
        row = read_store_marker(store)
        mark, ours = decode_values(row.values[STORE_MARKER_FEATURE]), self._read_fact("mark")
        self.row_time = datetime.now(UTC)
        for earlier in (row.written_at, datetime.fromisoformat(self._read_fact("now") or "1970-01-01T00:00:00+00:00")):
            self.row_time = max(self.row_time, earlier + MIN_TIMESTAMP_STEP) if earlier else self.row_time
        if mark != [ours]:
            self._connection.execute("delete from digests")
            self._connection.execute("delete from facts")
            self._write_fact("mark", uuid.uuid4().hex)
        self._write_fact("now", self.row_time.isoformat())
        self._connection.commit()
        self._write_store_marker()

    @property
    def as_of(self) -> date | None:
        """Up to when the last finished run has written; None where none has."""
        stored = self._read_fact("as_of")
        return date.fromisoformat(stored) if stored else None

    def diff_rows(
        self, view: str, rows: Mapping[str, bytes], after: str, to: str | None
    ) -> tuple[list[str], list[str]]:
        """(users whose row is not the stored one, users with a stored row who have none any more).

        `rows` are digests of everybody with a row among the ids after `after`, up to and including `to` (None: the end).
        """
        stored = dict(
            self._connection.execute(
                "select user_id, digest from digests where view = ?1 and user_id > ?2 and (?3 is null or user_id <= ?3)",
                (view, after, to),
            )
        )
        return [user for user, one in rows.items() if stored.get(user) != one], sorted(stored.keys() - rows.keys())

    def record_written(self, view: str, digests: Iterable[tuple[str, bytes]]) -> None:
        """These rows are in the store now."""
        self._connection.executemany(
            "insert or replace into digests values (?, ?, ?)", [(view, user, digest) for user, digest in digests]
        )
        self._connection.commit()

    def record_emptied(self, view: str, users: Iterable[str]) -> None:
        """These users' rows are empty now."""
        self._connection.executemany(
            "delete from digests where view = ? and user_id = ?", [(view, user) for user in users]
        )
        self._connection.commit()

    def finish(self, as_of: date) -> None:
        """Everything known before `as_of` is in the store."""
        self._write_fact("as_of", as_of.isoformat())
        self.row_time = max(datetime.now(UTC), self.row_time + MIN_TIMESTAMP_STEP)
        self._write_fact("now", self.row_time.isoformat())
        self._connection.commit()
        self._write_store_marker()

    def close(self) -> None:
        """Closes the file of digests."""
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
    """The mark's row: its time is the last time that a run began or finished."""
    return OnlineRowReader(store, {LIVE_SOURCE: [STORE_MARKER_FEATURE]}).read([STORE_MARKER_USER])[0][LIVE_SOURCE]


def digests_file(folder: Path, online_store: str) -> Path:
    """Where the digests of a kind of online store lie, in Feast's folder."""
    return folder / f"materialized-{online_store}.db"


@contextmanager
def materialization_lock(path: Path) -> Iterator[None]:
    """One at a time writes the batch part of the store whose digests lie at `path`; the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def materialized_users(path: Path, limit: int) -> list[str]:
    """Ids of users who have a row in the store, in their order, at most `most`; none where nothing was materialised."""
    if not path.exists():
        return []
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        rows = connection.execute("select distinct user_id from digests order by user_id limit ?", (limit,))
        return [str(user) for (user,) in rows]
    finally:
        connection.close()


def row_digest(values: Mapping[str, bytes]) -> bytes:
    """16 bytes that differ where the rows differ."""
    whole = hashlib.blake2b(digest_size=16)
    for name, value in values.items():
        whole.update(f"{name}\0{len(value)}\0".encode())
        whole.update(value)
    return whole.digest()
