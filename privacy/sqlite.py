"""Erasure of rows from a SQLite file, including free pages and the write-ahead log, while other processes use the file.

Independent of the content of rows.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from privacy import ErasureError, UnreadableFile

WAIT_S = 60.0
DAMAGED_REMEDY = "stop the recommender, delete the file and materialize again (python -m sequences.online.materialize --as-of DAY --force)"


class FileBusy(ErasureError):
    """Other processes keep the file locked; the message names it and the remedy."""


def erase(path: Path, column: str, keys: Mapping[str, str | bytes], wait_s: float = WAIT_S) -> Counter[str]:
    """Delete the users' rows from every table with the column; returns the number of rows per user.

    The file is then rewritten (VACUUM), because free pages may contain deleted rows, and the write-ahead log is truncated.
    Other writers wait meanwhile.

    Args:
        path: The file; it may be missing.
        column: Key column.
        keys: user ▸ value of the key column.
        wait_s: Maximum time to wait for locks, seconds.

    Raises:
        FileBusy: Other processes keep the file locked for longer than `wait_s`.
        UnreadableFile: The file is damaged.
    """
    erased: Counter[str] = Counter()
    if not path.exists():
        return erased
    connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None)
    try:
        connection.execute("pragma secure_delete = on")
        for table in tables(connection, column):
            for user_id, key in keys.items():
                deleted = connection.execute(f'delete from "{table}" where "{column}" = ?', (key,))  # noqa: S608
                erased[user_id] += deleted.rowcount
        connection.execute("vacuum")
        _truncate_wal(connection, path, time.monotonic() + wait_s)
    except sqlite3.DatabaseError as error:
        raise readable_error(path, error) from error
    finally:
        connection.close()
    return +erased


def readable_error(path: Path, error: sqlite3.DatabaseError) -> ErasureError:
    """The error of a file that is locked or damaged, with the remedy."""
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return FileBusy(f"{path} is in use ({error}); run this again in a moment")
    return UnreadableFile(f"{path} cannot be read ({error}); {DAMAGED_REMEDY}, then run this again")


def tables(connection: sqlite3.Connection, column: str) -> list[str]:
    """Names of the tables that have the column."""
    query = """
        select tables.name from sqlite_master as tables, pragma_table_info(tables.name) as columns
        where tables.type = 'table' and columns.name = ? order by tables.name
    """
    return [str(name) for (name,) in connection.execute(query, (column,))]


def _truncate_wal(connection: sqlite3.Connection, path: Path, deadline: float) -> None:
    while True:
        (is_busy, *_), *_ = connection.execute("pragma wal_checkpoint(truncate)").fetchall()
        if not is_busy:
            return
        if time.monotonic() > deadline:
            raise FileBusy(f"{path}-wal cannot be truncated because it is being read; run this again in a moment")
        time.sleep(0.05)
