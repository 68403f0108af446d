"""Erasing rows from a SQLite file so that no page and no log of it holds them any more, while others use the file.

Knows nothing about what the rows are.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

WAIT_S = 60.0


class FileBusy(RuntimeError):
    """Somebody reads or writes the file all the time; the message names it and the remedy."""


def erase(path: Path, column: str, keys: Mapping[str, str | bytes], wait_s: float = WAIT_S) -> Counter[str]:
    """Delete each user's rows, found by the key in `column`, from every table that has the column; rows of each user.

    Then the file is written anew (VACUUM), for what was deleted or changed before may lie in free pages, and its log is
    emptied. Meanwhile other writers wait.

    Raises:
        FileBusy: others keep the file for longer than `wait_s`.
    """
    erased: Counter[str] = Counter()
    if not path.exists():
        return erased
    connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None)
    try:
        connection.execute("pragma secure_delete = on")
        for table in _tables(connection, column):
            for user_id, key in keys.items():
                found = connection.execute(f'delete from "{table}" where "{column}" = ?', (key,))  # noqa: S608
                erased[user_id] += found.rowcount
        connection.execute("vacuum")
        _truncate_wal(connection, path, time.monotonic() + wait_s)
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise FileBusy(f"{path} is in use ({error}); run this again in a moment") from error
    finally:
        connection.close()
    return +erased


def _tables(connection: sqlite3.Connection, column: str) -> list[str]:
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
            raise FileBusy(f"{path}-wal cannot be emptied, for somebody reads it; run this again in a moment")
        time.sleep(0.05)
