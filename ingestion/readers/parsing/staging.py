"""On-disk staging database for rows that a reader can only process after it has seen the whole log."""

from __future__ import annotations

from pathlib import Path

import duckdb

MEMORY_LIMIT = "500MB"
BATCH_ROWS = 122_880
"""Number of rows per batch that is read back."""


def open_staging_database(scratch: Path, name: str) -> duckdb.DuckDBPyConnection:
    """Open a new, empty database in folder `scratch`. Query results are unordered unless the query orders them."""
    connection = duckdb.connect(str(scratch / f"{name}.duckdb"))
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    connection.execute(f"set temp_directory = '{scratch / f'spill_{name}'}'")
    connection.execute("set preserve_insertion_order = false")
    return connection
