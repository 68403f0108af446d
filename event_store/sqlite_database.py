"""A SQLite file that several processes write: writers wait in the kernel, users of the suppression list are left out, and erased
bytes leave the disk.

SQLite's own busy handler sleeps without a queue, so that one of several writers may wait for a second; here they queue for a file
lock before the transaction. A durable file is synced to disk after the commit, outside this lock, so that several processes can
wait for the disk at once. Others may see a commit a moment before it is durable, but `read`, whose positions are stored, syncs first.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from event_store.store import ErasureUnfinished, Position, StoreUnavailable
from storage.suppression_list import SuppressionList

BUSY_TIMEOUT_S = 10.0
ERASURE_TIMEOUT_S = 60.0
CHECKPOINT_PAUSE_S = 0.02
SHARED_FILE_SYSTEMS = ("9p", "afs", "ceph", "cifs", "fuse", "gluster", "lustre", "ncpfs", "nfs", "smb")
"""Beginnings of the names of file systems whose locks or memory maps other machines do not see."""
COMMON_TABLES = (
    "create table if not exists facts (name text primary key, value) without rowid",
    "create table if not exists suppressed (code text primary key) without rowid",
)


class SqliteDatabase:
    """Connections to one file, one per thread; a transaction of this object is the only one of its file.

    The file is opened by the first call. As long as it cannot be, every call tries again and fails.

    Args:
        path: The file; it is created if it is missing.
        is_durable: Whether a commit must survive a machine failure.
        tables: Statements that create its tables unless they exist. Tables with a column `user_id` belong to users.
        numbered: The table of the numbered rows, with columns `seq` and `body`.
    """

    def __init__(self, path: Path, is_durable: bool, tables: Sequence[str], numbered: str) -> None:
        self.path, self._is_durable, self._tables = path, is_durable, (*COMMON_TABLES, *tables)
        self._numbered = numbered
        path.parent.mkdir(parents=True, exist_ok=True)
        self._local, self._connections = threading.local(), list[sqlite3.Connection]()
        self._lock = threading.RLock()
        self._lock_file = path.with_suffix(".lock").open("w")
        self._is_open = False

    @property
    def id(self) -> str:
        """Id of the file: of its creation, or its last restore."""
        with self.reading() as database:
            return read_id(database)

    def prepare(self, database: sqlite3.Connection, is_new: bool) -> None:
        """Called in the first transaction, with the connection and whether the file is new."""

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection of this thread, each statement of which sees the last commit.

        Raises:
            StoreUnavailable: A statement failed.
        """
        self._open()
        with self._readable_errors():
            yield self._connection()

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreUnavailable(
                f"{self.path} cannot be read or written: {error}; check the space on the disk, and restore a backup if the file "
                "is damaged"
            ) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection of this thread in a transaction, which is committed at the end of the block, and durable after it.

        Raises:
            StoreUnavailable: A statement failed and nothing is written, or the commit may not be durable.
        """
        self._open()
        with self._lock, self._locked_file(), self.reading() as database:
            database.execute("begin immediate")
            try:
                yield database
                database.execute("commit")
            except BaseException:
                if database.in_transaction:
                    database.execute("rollback")
                raise
        self._sync()

    def read(self, after: Position | None, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """See `Store.read`."""
        query = f"select seq, body from {self._numbered} where seq > ? order by seq limit ?"  # noqa: S608
        with self.reading() as database:
            rows = database.execute(query, (seq_after(after, read_id(database)), limit)).fetchall()
        self._sync()  # if a landed row were lost in a machine failure, its number would be given to another one
        return [(seq, json.loads(body)) for seq, body in rows]

    def renew_id(self) -> None:
        """See `Store.renew_id`."""
        with self.writing() as database:
            database.execute("update facts set value = ? where name = 'id'", (uuid.uuid4().hex,))

    def suppress(self, users: SuppressionList) -> None:
        """See `Store.suppress`: later transactions check this copy of the list."""
        with self.writing() as database:
            database.execute("delete from suppressed")
            database.executemany("insert into suppressed values (?)", [(code,) for code in users.hashes])
            database.execute("insert or replace into facts values ('salt', ?)", (users.salt,))

    def suppressed(self, database: sqlite3.Connection, user_ids: Iterable[str]) -> set[str]:
        """Which of the users are in the suppression list."""
        if not database.execute("select 1 from suppressed limit 1").fetchone():
            return set()
        (salt,) = database.execute("select value from facts where name = 'salt'").fetchone()
        query, users = "select 1 from suppressed where code = ?", SuppressionList(salt)
        return {one for one in set(user_ids) if database.execute(query, (users.code(one),)).fetchone()}

    def users(self) -> set[str]:
        """See `Store.users`."""
        with self.reading() as database:
            tables = tables_with(database, "user_id")
            rows = (database.execute(f"select distinct user_id from {table}") for table in tables)  # noqa: S608
            return {user for found in rows for (user,) in found}

    def export(self, user_id: str) -> dict[str, list[dict[str, Any]]]:
        """See `Store.export`: the rows by table."""
        exported = {}
        with self.reading() as database:
            for table in tables_with(database, "user_id"):
                found = database.execute(f"select * from {table} where user_id = ?", (user_id,))  # noqa: S608
                names = [name for name, *_ in found.description]
                exported[table] = [
                    {
                        name: json.loads(value) if name == "body" else value
                        for name, value in zip(names, row, strict=True)
                    }
                    for row in found
                ]
        return exported

    def erase(self, user_ids: Collection[str]) -> Counter[str]:
        """See `Store.erase`: deletes the rows from all tables of users, and their bytes from the file and its log.

        Raises:
            ErasureUnfinished: A process has kept reading the log for `ERASURE_TIMEOUT_S`.
        """
        erased, users = Counter[str](), json.dumps(list(user_ids))
        with self.writing() as database:
            for table in tables_with(database, "user_id"):
                query = f"delete from {table} where user_id in (select value from json_each(?)) returning user_id"  # noqa: S608
                erased.update(user for (user,) in database.execute(query, (users,)))
        # Despite `secure_delete`, pages keep bytes of rows that SQLite has moved to other pages.
        with self._lock, self._locked_file(), self.reading() as database:
            database.execute("vacuum")
        until = time.monotonic() + ERASURE_TIMEOUT_S
        # A checkpoint while another connection reads the log returns "busy" without an error, and the bytes stay in it.
        while self._checkpoint():
            if time.monotonic() > until:
                raise ErasureUnfinished(
                    f"erased rows are still in {self.path}-wal, which a process keeps reading; end it and erase again"
                )
            time.sleep(CHECKPOINT_PAUSE_S)
        return erased

    def close(self) -> None:
        """See `Store.close`."""
        for connection in self._connections:
            connection.close()
        self._lock_file.close()

    def _sync(self) -> None:
        """Wait until all commits are on disk; a checkpoint does the same before it moves pages out of the log."""
        if not self._is_durable:
            return
        path = self.path.with_name(f"{self.path.name}-wal")
        try:
            with path.open("rb", buffering=0) as log:
                os.fdatasync(log.fileno())
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be synced to disk: {error}; check the disk") from error

    def _checkpoint(self) -> bool:
        """Empty the log; return whether a reader has kept it from being empty. Writers do not wait for the reader."""
        with self._lock, self._locked_file(), self.reading() as database:
            database.execute("pragma busy_timeout = 0")
            (is_busy, *_) = database.execute("pragma wal_checkpoint(truncate)").fetchone()
            database.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")
        return bool(is_busy)

    @contextmanager
    def _locked_file(self) -> Iterator[None]:
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _open(self) -> None:
        """Create the tables, by the first call that can."""
        if self._is_open:
            return
        self._require_local_disk()
        with self._lock, self._locked_file(), self._readable_errors():
            is_new = not self.path.exists()
            database = self._connection()
            with database:
                database.execute("begin immediate")
                for statement in self._tables:
                    database.execute(statement)
                database.execute("insert or ignore into facts values ('id', ?)", (uuid.uuid4().hex,))
                self.prepare(database, is_new)
            self._is_open = True

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            database = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            for pragma in (
                "journal_mode = wal",
                "synchronous = normal",
                "secure_delete = on",
            ):
                database.execute(f"pragma {pragma}").fetchall()
            self._local.connection = database
            self._connections.append(database)
        return self._local.connection

    def _require_local_disk(self) -> None:
        places = {one.mountpoint: one.fstype for one in psutil.disk_partitions(all=True)}
        folders = (str(one) for one in (self.path.parent.resolve(), *self.path.parent.resolve().parents))
        kind = next((places[one] for one in folders if one in places), "")
        if kind.startswith(SHARED_FILE_SYSTEMS):
            raise StoreUnavailable(
                f"{self.path} is on a file system of type {kind}, where processes do not see the locks of others and events "
                "would be lost; set SEGUE_HOME to a folder on a local disk"
            )


def seq_after(position: Position | None, store: str) -> int:
    """The number from which a store has later rows; 0 if the position is of another one."""
    return position.seq if position is not None and position.store == store else 0


def read_id(database: sqlite3.Connection) -> str:
    """Id of the file: of its creation, or its last restore."""
    (found,) = database.execute("select value from facts where name = 'id'").fetchone()
    return str(found)


def tables_with(database: sqlite3.Connection, column: str) -> list[str]:
    """Names of the tables that have the column."""
    query = """
        select tables.name from sqlite_master as tables, pragma_table_info(tables.name) as columns
        where tables.type = 'table' and columns.name = ? order by tables.name
    """
    return [str(name) for (name,) in database.execute(query, (column,))]
