"""SQLite files of states that can be lost: a damaged file is replaced by an empty one."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

BUSY_TIMEOUT_S = 1.0
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""Primary codes of errors that the content causes; `SQLITE_ERROR`: an unknown format. Others are of the disk or of locks."""

logger = logging.getLogger(__name__)


def open_database(path: Path, statements: Sequence[str]) -> tuple[sqlite3.Connection, bool]:
    """A connection to the file, in WAL mode, for all threads, and whether the file was damaged.

    A damaged file is deleted and not kept under another name, because users could not be erased from it.

    Args:
        path: The file; created if it is missing.
        statements: Executed on the connection; the file is damaged if its content makes one fail.

    Raises:
        OSError: The file cannot be opened, for instance on a full disk. It is unchanged.
    """
    try:
        return _open(path, statements), False
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # Errors without a code are of texts that cannot be decoded.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF not in DAMAGED:
            raise OSError(
                f"{path} cannot be opened: {error}; check the space and the permissions of its folder, and start again"
            ) from error
        logger.warning("replacing the damaged %s by an empty file: %s", path, error)
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()
    return _open(path, statements), True


def _open(path: Path, statements: Sequence[str]) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        for statement in ("pragma journal_mode = wal", *statements):
            database.execute(statement).fetchall()
    except Exception:
        database.close()
        raise
    return database
