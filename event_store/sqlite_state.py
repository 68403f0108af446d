"""What the workers of one machine share besides events: a SQLite file of exposures, daily lists and live workers.

A damaged file is replaced by an empty one: the lists of today are chosen again.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from event_store.sqlite_database import SqliteDatabase, read_id, seq_after
from event_store.store import ALIVE_FOR_US, DAY_US, LISTED_DAYS, Position, StoreUnavailable, Worker
from storage.file_lock import file_lock

SERVING_FILE = "serving.db"
AGREED_DAYS = 1
TABLES = (
    "create table if not exists exposures (seq integer primary key autoincrement, user_id text not null, body text not null)",
    """create table if not exists daily_lists (user_id text, day integer, key text, body text not null,
    primary key (user_id, day, key)) without rowid""",
    "create table if not exists workers (name text primary key, seen_us integer not null, state text not null) without rowid",
    "create table if not exists agreed (name text primary key, value text not null, day integer not null) without rowid",
)


DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)

logger = logging.getLogger(__name__)


class SqliteServingState(SqliteDatabase):
    """See `event_store.store.ServingState`.

    Args:
        folder: Folder of the file, on a local disk.
        now_us: Clock, µs UTC.

    Raises:
        StoreUnavailable: The file cannot be opened, for instance on a full disk.
    """

    def __init__(self, folder: Path, now_us: Callable[[], int]) -> None:
        path = folder / SERVING_FILE
        super().__init__(path, "normal", TABLES)
        self._now_us, self._cleaned_day = now_us, 0
        with file_lock(path.with_suffix(".opening")):
            try:
                self.export("")
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, DAMAGED) or isinstance(error.__cause__, sqlite3.OperationalError):
                    raise
                logger.warning("replacing the damaged %s by an empty file: %s", path, error.__cause__)
                for part in folder.glob(f"{path.name}*"):
                    part.unlink()  # not kept under another name, because users could not be erased from it
                super().__init__(path, "normal", TABLES)

    def add_exposure(self, user_id: str, record: Mapping[str, Any]) -> None:
        """See `ServingState.add_exposure`."""
        body = json.dumps(record, separators=(",", ":"))
        with self.writing() as database:
            if not self.suppressed(database, [user_id]):
                database.execute("insert into exposures (user_id, body) values (?, ?)", (user_id, body))

    def read_exposures(self, after: Position | None, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """See `ServingState.read_exposures`."""
        return self.read_rows("exposures", after, limit)

    def remove_exposures(self, through: Position) -> None:
        """See `ServingState.remove_exposures`."""
        with self.writing() as database:
            database.execute("delete from exposures where seq <= ?", (seq_after(through, read_id(database)),))

    def replace_list(self, user_id: str, day: int, key: str, before: str | None, text: str) -> bool:
        """See `ServingState.replace_list`."""
        query = "select body from daily_lists where user_id = ? and day = ? and key = ?"
        with self.writing() as database:
            if self.suppressed(database, [user_id]):
                return True
            found = database.execute(query, (user_id, day, key)).fetchone()
            if (found[0] if found else None) != before:
                return False
            database.execute("insert or replace into daily_lists values (?, ?, ?, ?)", (user_id, day, key, text))
            if day > self._cleaned_day:
                database.execute("delete from daily_lists where day < ?", (day - LISTED_DAYS,))
                self._cleaned_day = day
        return True

    def read_lists(self, user_id: str, since_day: int) -> list[tuple[int, str, str]]:
        """See `ServingState.read_lists`."""
        query = "select day, key, body from daily_lists where user_id = ? and day >= ?"
        with self.reading() as database:
            return database.execute(query, (user_id, since_day)).fetchall()

    def report_worker(self, name: str, state: Mapping[str, Any]) -> None:
        """See `ServingState.report_worker`."""
        now_us = self._now_us()
        with self.writing() as database:
            database.execute("insert or replace into workers values (?, ?, ?)", (name, now_us, json.dumps(state)))
            database.execute("delete from workers where seen_us < ?", (now_us - ALIVE_FOR_US,))

    def workers(self) -> list[Worker]:
        """See `ServingState.workers`."""
        query = "select name, seen_us, state from workers where seen_us >= ? order by name"
        with self.reading() as database:
            rows = database.execute(query, (self._now_us() - ALIVE_FOR_US,)).fetchall()
        return [Worker(name, seen_us, json.loads(state)) for name, seen_us, state in rows]

    def agree(self, name: str, value: str) -> str:
        """See `ServingState.agree`."""
        today = self._now_us() // DAY_US
        with self.writing() as database:
            database.execute("delete from agreed where day < ?", (today - AGREED_DAYS,))
            database.execute("insert or ignore into agreed values (?, ?, ?)", (name, value, today))
            (agreed,) = database.execute("select value from agreed where name = ?", (name,)).fetchone()
        return str(agreed)
