"""The event store of one machine: a SQLite file in which every event is committed before it is acknowledged.

The waiting reports of a process are committed together. Two columns order events: `seq` is the order of commit, by which landing
and requests read on; `sequence_number` is the order of the contract, the client's or a growing number of the store.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from event_store.sqlite_database import SqliteDatabase, read_id, seq_after
from event_store.store import (
    END,
    EVERYONE,
    HIDDEN_ACTIONS,
    ID_PERIOD_US,
    KEY_BYTES,
    MAX_AGE_US,
    MAX_EVENTS_OF_KIND,
    MAX_SESSION_US,
    START,
    VISIBLE_FOR_US,
    Appended,
    Event,
    Position,
    PrivateSession,
    StoreBusy,
    UserEvents,
    current_session,
    id_code,
    is_hidden,
    kind_of,
    read_text,
    sessions_after,
    to_text,
)
from storage.files import atomic_write

EVENTS_FILE, KEY_FILE = "events.db", "event_ids.key"
MAX_WAITING_REPORTS = 1024
TABLES = (
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


@dataclass
class _Report:
    events: Sequence[Event]
    appended: Appended = field(default_factory=Appended)
    is_done: bool = False
    error: Exception | None = None


class SqliteEventStore(SqliteDatabase):
    """See `event_store.store.EventStore`.

    If the file or the key of the ids was lost, everyone is in a private session until every session must have ended.

    Args:
        folder: Folder of the file and the key, on a local disk.
        now_us: Clock, µs UTC.
    """

    def __init__(self, folder: Path, now_us: Callable[[], int]) -> None:
        super().__init__(folder / EVENTS_FILE, "full", TABLES)
        self._now_us, self._key = now_us, b""
        self._reports: list[_Report] = []
        self._commit_lock = threading.Lock()

    def append(self, events: Sequence[Event]) -> Appended:
        """See `EventStore.append`."""
        report = _Report(events)
        if len(self._reports) >= MAX_WAITING_REPORTS:
            raise StoreBusy(f"{MAX_WAITING_REPORTS} reports wait for the disk; send the events again in a second")
        self._reports.append(report)
        with self._commit_lock:
            if not report.is_done:  # otherwise the thread before has committed it with its own
                self._commit()
        if report.error is not None:
            raise report.error
        return report.appended

    def _commit(self) -> None:
        reports, self._reports = self._reports, []
        try:
            with self.writing() as database:
                writing = _Writing(database, self._key, self._now_us())
                users = {event["user_id"] for one in reports for event in one.events}
                erased = self.suppressed(database, users)
                for one in reports:
                    one.appended = writing.add(one.events, erased)
                writing.finish()
        except Exception as error:
            for one in reports:
                one.error = error
        for one in reports:
            one.is_done = True

    def of_user(self, user_id: str, after: Position | None = None) -> UserEvents:
        """See `EventStore.of_user`."""
        with self.reading() as database:
            store = read_id(database)
            rows = database.execute(OF_USER, (user_id, seq_after(after, store), MAX_EVENTS_OF_KIND)).fetchall()
        last = max([seq for seq, _ in rows], default=0)
        return UserEvents(store, last, [read_text(body) for _, body in rows])

    def read(self, after: Position | None, limit: int) -> list[tuple[int, Event]]:
        """See `EventStore.read`."""
        return self.read_rows("events", after, limit)

    def last_before(self, received_us: int) -> int:
        """See `EventStore.last_before`."""
        query = "select coalesce((select min(seq) - 1 from events where received_at >= ?), (select seq from sqlite_sequence))"
        with self.reading() as database:
            (last,) = database.execute(query, (received_us,)).fetchone()
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
        self._number = max(int(stored), now_us)
        self._sessions: dict[str, Sequence[PrivateSession]] = {}

    def add(self, events: Sequence[Event], erased: set[str]) -> Appended:
        """Add the events of a report whose ids are new and that no private session hides."""
        count = dict.fromkeys(("accepted", "duplicate", "private", "erased"), 0)
        for event in events:
            count[self._add(event, erased)] += 1
        return Appended(**count)

    def finish(self) -> None:
        """Keep the last number, and delete ids that nobody can send again."""
        self._database.execute("insert or replace into facts values ('number', ?)", (self._number,))
        self._database.execute("delete from private_sessions where until_us < ?", (self._now_us - MAX_AGE_US,))
        (cleaned,) = self._database.execute("select (select value from facts where name = 'period')").fetchone()
        if cleaned != self._period:
            self._database.execute("delete from ids where period < ?", (self._period - 1,))
            self._database.execute("insert or replace into facts values ('period', ?)", (self._period,))

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
        self._number += 1
        if event["sequence_number"] is None:
            event = event | {"sequence_number": self._number}
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
    query = "select since_us, until_us from private_sessions where user_id = ? order by since_us"
    rows = database.execute(query, (user_id,)).fetchall() or database.execute(query, (EVERYONE,)).fetchall()
    return [PrivateSession(*row) for row in rows]


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
