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

from sequences.definition import LIVE_SOURCE
from sequences.online_row import NOBODY, OnlineRow, OnlineRows, list_value, write_rows
from sequences.wire import decoded

MARK = "event_id"
TICK = timedelta(milliseconds=1)

_TABLES = """
create table if not exists digests (view text, user_id text, digest blob, primary key (view, user_id)) without rowid;
create table if not exists facts (name text primary key, value text) without rowid;
"""


class Materialized:
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
        self._connection.executescript(f"pragma journal_mode = wal; pragma synchronous = normal; {_TABLES}")
        row = read_mark(store)
        mark, ours = decoded(row.values[MARK]), self._fact("mark")
        self.now = datetime.now(UTC)
        for earlier in (row.written_at, datetime.fromisoformat(self._fact("now") or "1970-01-01T00:00:00+00:00")):
            self.now = max(self.now, earlier + TICK) if earlier else self.now
        if mark != [ours]:
            self._connection.execute("delete from digests")
            self._connection.execute("delete from facts")
            self._note("mark", uuid.uuid4().hex)
        self._note("now", self.now.isoformat())
        self._connection.commit()
        self._write_mark()

    @property
    def as_of(self) -> date | None:
        """Up to when the last finished run has written; None where none has."""
        stored = self._fact("as_of")
        return date.fromisoformat(stored) if stored else None

    def differing(
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

    def written(self, view: str, digests: Iterable[tuple[str, bytes]]) -> None:
        """These rows are in the store now."""
        self._connection.executemany(
            "insert or replace into digests values (?, ?, ?)", [(view, user, digest) for user, digest in digests]
        )
        self._connection.commit()

    def emptied(self, view: str, users: Iterable[str]) -> None:
        """These users' rows are empty now."""
        self._connection.executemany(
            "delete from digests where view = ? and user_id = ?", [(view, user) for user in users]
        )
        self._connection.commit()

    def finish(self, as_of: date) -> None:
        """Everything known before `as_of` is in the store."""
        self._note("as_of", as_of.isoformat())
        self.now = max(datetime.now(UTC), self.now + TICK)
        self._note("now", self.now.isoformat())
        self._connection.commit()
        self._write_mark()

    def close(self) -> None:
        """Closes the file of digests."""
        self._connection.close()

    def _write_mark(self) -> None:
        self.now += TICK
        write_rows(self._store, self._view, [(NOBODY, {MARK: list_value("string", [self._fact("mark")])}, self.now)])

    def _fact(self, name: str) -> str | None:
        row = self._connection.execute("select value from facts where name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def _note(self, name: str, value: str) -> None:
        self._connection.execute("insert or replace into facts values (?, ?)", (name, value))


def read_mark(store: feast.FeatureStore) -> OnlineRow:
    """The mark's row: its time is the last time that a run began or finished."""
    return OnlineRows(store, {LIVE_SOURCE: [MARK]}).read([NOBODY])[0][LIVE_SOURCE]


def digests_file(folder: Path, online_store: str) -> Path:
    """Where the digests of a kind of online store lie, in Feast's folder."""
    return folder / f"materialized-{online_store}.db"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One at a time writes the batch part of the store whose digests lie at `path`; the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def users(path: Path, most: int) -> list[str]:
    """Ids of users who have a row in the store, in their order, at most `most`; none where nothing was materialised."""
    if not path.exists():
        return []
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        rows = connection.execute("select distinct user_id from digests order by user_id limit ?", (most,))
        return [str(user) for (user,) in rows]
    finally:
        connection.close()


def digest(values: Mapping[str, bytes]) -> bytes:
    """16 bytes that differ where the rows differ."""
    whole = hashlib.blake2b(digest_size=16)
    for name, value in values.items():
        whole.update(f"{name}\0{len(value)}\0".encode())
        whole.update(value)
    return whole.digest()
