"""The stores of one machine: SQLite files of events, and of what the workers of the recommender share.

Every event is committed before it is acknowledged. The waiting reports of a process are committed together. Two columns order
events: `seq` is the order of commit, by which landing and requests read on; `sequence_number` is the order of the contract, the
client's or a growing number of the store.

The file of exposures, daily lists and live workers is another one. If it is damaged, it is replaced by an empty one: the lists of
today are chosen again.
"""

from __future__ import annotations

import json
import logging
import secrets
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from event_store.event_rules import MAX_AGE_US, Event
from event_store.private_sessions import (
    END,
    EVERYONE,
    HIDDEN_ACTIONS,
    MAX_SESSION_US,
    START,
    PrivateSession,
    current_session,
    is_hidden,
    sessions_after,
)
from event_store.sqlite_database import SqliteDatabase, read_id, seq_after
from event_store.store import (
    ALIVE_FOR_US,
    DAY_US,
    ID_PERIOD_US,
    KEY_BYTES,
    MAX_EVENTS_OF_KIND,
    VISIBLE_FOR_US,
    Appended,
    Position,
    StoreBusy,
    StoreUnavailable,
    UserEvents,
    Worker,
    id_code,
    kind_of,
    to_text,
)
from storage.file_lock import file_lock
from storage.files import atomic_write

logger = logging.getLogger(__name__)

EVENTS_FILE, KEY_FILE = "events.db", "event_ids.key"
MAX_WAITING_REPORTS = 1024
EVENT_TABLES = (
    """create table if not exists events (seq integer primary key autoincrement, user_id text not null, kind text not null,
    ended_at integer not null, sequence_number integer not null, received_at integer not null, body text not null)""",
    "create index if not exists events_of_user on events (user_id, seq)",
    # Of all events, also private ones, without their users and times: a keyed hash, and which month it was reported in.
    "create table if not exists ids (code blob primary key, period integer not null) without rowid",
    """create table if not exists private_sessions (user_id text, since_us integer, until_us integer not null,
    primary key (user_id, since_us)) without rowid""",
)
OF_USER = """
select seq, body from (
    select seq, body, ended_at, sequence_number,
        row_number() over (partition by kind order by ended_at desc, sequence_number desc) as place
    from events where user_id = ? and seq > ? and kind != ''
) where place <= ? order by ended_at, sequence_number
"""


class SqliteEventStore(SqliteDatabase):
    """See `event_store.store.EventStore`.

    If the file or the key of the ids was lost, everyone is in a private session until every session must have ended.

    Args:
        folder: Folder of the file and the key, on a local disk.
        now_us: Clock, µs UTC.
    """

    def __init__(self, folder: Path, now_us: Callable[[], int]) -> None:
        super().__init__(folder / EVENTS_FILE, True, EVENT_TABLES, "events")
        self._now_us, self._key, self._cleaned_day = now_us, b"", 0
        self._reports: list[tuple[Sequence[Event], Future[Appended]]] = []
        self._commit_lock = threading.Lock()

    def append(self, events: Sequence[Event]) -> Appended:
        """See `EventStore.append`."""
        if len(self._reports) >= MAX_WAITING_REPORTS:
            raise StoreBusy(f"{MAX_WAITING_REPORTS} reports wait for the disk; send the events again in a second")
        appended: Future[Appended] = Future()
        self._reports.append((events, appended))
        with self._commit_lock:
            if not appended.done():  # otherwise the thread before has committed it with its own
                self._commit()
        return appended.result()

    def _commit(self) -> None:
        reports, self._reports = self._reports, []
        try:
            with self.writing() as database:
                writing = _Writing(database, self._key, self._now_us())
                erased = self.suppressed(database, {event["user_id"] for events, _ in reports for event in events})
                added = [writing.add(events, erased) for events, _ in reports]
                database.execute("insert or replace into facts values ('number', ?)", (writing.number,))
                self._clean(database)
        except Exception as error:
            for _, appended in reports:
                appended.set_exception(error)
        else:
            for (_, appended), result in zip(reports, added, strict=True):
                appended.set_result(result)

    def _clean(self, database: sqlite3.Connection) -> None:
        """Delete sessions whose late events are too old, once a day, and ids that cannot be sent again, once in a period: that
        scans all ids while other writers wait.
        """
        now_us = self._now_us()
        if now_us // DAY_US <= self._cleaned_day:
            return
        database.execute("delete from private_sessions where until_us < ?", (now_us - MAX_AGE_US,))
        period = now_us // ID_PERIOD_US
        (cleaned,) = database.execute("select (select value from facts where name = 'period')").fetchone()
        if cleaned != period:
            database.execute("delete from ids where period < ?", (period - 1,))
            database.execute("insert or replace into facts values ('period', ?)", (period,))
        self._cleaned_day = now_us // DAY_US

    def of_user(self, user_id: str, after: Position | None = None) -> UserEvents:
        """See `EventStore.of_user`."""
        with self.reading() as database:
            store = read_id(database)
            rows = database.execute(OF_USER, (user_id, seq_after(after, store), MAX_EVENTS_OF_KIND)).fetchall()
        last = max([seq for seq, _ in rows], default=0)
        return UserEvents(store, last, [json.loads(body) for _, body in rows])

    def last_before(self, received_us: int) -> int:
        """See `EventStore.last_before`."""
        query = "select coalesce((select min(seq) - 1 from events where received_at >= ?), (select seq from sqlite_sequence))"
        with self.reading() as database:
            (last,) = database.execute(query, (received_us,)).fetchone()
        self._sync()
        return int(last or 0)

    def remove(self, through: Position) -> int:
        """See `EventStore.remove`."""
        with self.writing() as database:
            query = "delete from events where seq <= ? and received_at < ?"
            last = seq_after(through, read_id(database))
            return database.execute(query, (last, self._now_us() - VISIBLE_FOR_US)).rowcount

    def private_session(self, user_id: str) -> PrivateSession | None:
        """See `EventStore.private_session`."""
        with self.reading() as database:
            return current_session(_sessions_of(database, user_id), self._now_us())

    def prepare(self, database: sqlite3.Connection, is_new: bool) -> None:
        """Read the key; after a loss of the key or the file, begin a private session of everyone."""
        self._key, is_new_key = _read_or_create_key(self.path.with_name(KEY_FILE))
        if is_new != is_new_key:
            row = (EVERYONE, self._now_us() - MAX_AGE_US, self._now_us() + MAX_SESSION_US)
            database.execute("insert or replace into private_sessions values (?, ?, ?)", row)


class _Writing:
    """Adds the reports of one transaction."""

    def __init__(self, database: sqlite3.Connection, key: bytes, now_us: int) -> None:
        self._database, self._key, self._now_us = database, key, now_us
        self._period = now_us // ID_PERIOD_US
        (stored,) = database.execute("select coalesce((select value from facts where name = 'number'), 0)").fetchone()
        self.number = max(int(stored), now_us)  # the last one
        self._sessions: dict[str, Sequence[PrivateSession]] = {}

    def add(self, events: Sequence[Event], erased: set[str]) -> Appended:
        """Add the events of a report whose ids are new and that no private session hides."""
        count = dict.fromkeys(("accepted", "duplicate", "private", "erased"), 0)
        for event in events:
            count[self._add(event, erased)] += 1
        return Appended(**count)

    def _add(self, event: Event, erased: set[str]) -> str:
        user_id, action = event["user_id"], event["action"]
        if user_id in erased:
            return "erased"
        row = (id_code(self._key, event), self._period)
        if not self._database.execute("insert or ignore into ids values (?, ?)", row).rowcount:
            return "duplicate"
        if user_id not in self._sessions and action in HIDDEN_ACTIONS | {START, END}:
            self._sessions[user_id] = _sessions_of(self._database, user_id)
        if action in (START, END):
            self._replace_sessions(user_id, sessions_after(event, self._sessions[user_id], self._now_us))
        elif is_hidden(event, self._sessions.get(user_id, ())):
            return "private"
        self.number += 1
        if event["sequence_number"] is None:
            event = event | {"sequence_number": self.number}
        values = (user_id, kind_of(event), event["ended_at"], event["sequence_number"], self._now_us, to_text(event))
        columns = "(user_id, kind, ended_at, sequence_number, received_at, body)"
        self._database.execute(f"insert into events {columns} values (?, ?, ?, ?, ?, ?)", values)  # noqa: S608
        return "accepted"

    def _replace_sessions(self, user_id: str, sessions: Sequence[PrivateSession]) -> None:
        self._sessions[user_id] = sessions
        self._database.execute("delete from private_sessions where user_id = ?", (user_id,))
        rows = [(user_id, one.since_us, one.until_us) for one in sessions]
        self._database.executemany("insert into private_sessions values (?, ?, ?)", rows)


def _sessions_of(database: sqlite3.Connection, user_id: str) -> list[PrivateSession]:
    """The user's private sessions, or everyone's after a loss; ascending."""
    query = (
        "select user_id, since_us, until_us from private_sessions where user_id in (?, ?) order by user_id, since_us"
    )
    rows = database.execute(query, (user_id, EVERYONE)).fetchall()
    of_user = [row for row in rows if row[0] != EVERYONE]
    return [PrivateSession(since_us, until_us) for _, since_us, until_us in of_user or rows]


def _read_or_create_key(path: Path) -> tuple[bytes, bool]:
    """The key of the ids, and whether it was created because the file was missing or damaged."""
    try:
        if len(key := path.read_bytes()) == KEY_BYTES:
            return key, False
    except FileNotFoundError:
        pass
    key = secrets.token_bytes(KEY_BYTES)
    atomic_write(path, key, is_durable=True, is_contended=True, mode=0o600)
    return key, True


SERVING_FILE = "serving.db"
AGREED_DAYS = 1
STATE_TABLES = (
    "create table if not exists exposures (seq integer primary key autoincrement, user_id text not null, body text not null)",
    """create table if not exists daily_lists (user_id text, day integer, key text, body text not null,
    primary key (user_id, day, key)) without rowid""",
    "create table if not exists workers (name text primary key, seen_us integer not null, state text not null) without rowid",
    "create table if not exists agreed (name text primary key, value text not null, day integer not null) without rowid",
)


DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)


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
        super().__init__(path, False, STATE_TABLES, "exposures")
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
                super().__init__(path, False, STATE_TABLES, "exposures")

    def add_exposure(self, user_id: str, record: Mapping[str, Any]) -> None:
        """See `ServingState.add_exposure`."""
        body = json.dumps(record, separators=(",", ":"))
        with self.writing() as database:
            if not self.suppressed(database, [user_id]):
                database.execute("insert into exposures (user_id, body) values (?, ?)", (user_id, body))

    def remove_exposures(self, through: Position) -> None:
        """See `ServingState.remove_exposures`."""
        with self.writing() as database:
            database.execute("delete from exposures where seq <= ?", (seq_after(through, read_id(database)),))

    def replace_list(self, user_id: str, day: int, key: str, before: str | None, text: str, kept_days: int) -> bool:
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
                database.execute("delete from daily_lists where day < ?", (day - kept_days,))
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
