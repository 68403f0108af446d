"""Where a reader keeps rows until it has seen all of them: a database on the disk, so that memory does not grow with the log."""

from __future__ import annotations

from pathlib import Path

import duckdb

MEMORY_LIMIT = "500MB"
BATCH_ROWS = 122_880
"""Rows that are read back at once."""


def open_staging_database(scratch: Path, name: str) -> duckdb.DuckDBPyConnection:
    """An empty database of this name in `scratch`; what it gives back has an order only where a query says so."""
    connection = duckdb.connect(str(scratch / f"{name}.duckdb"))
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    connection.execute(f"set temp_directory = '{scratch / f'spill_{name}'}'")
    connection.execute("set preserve_insertion_order = false")
    return connection
