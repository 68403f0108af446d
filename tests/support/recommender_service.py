"""Starts the real recommender in its own process and home on a free port, for tests and benchmarks over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

from config import settings
from local.environment import environment
from tests.support import background
from tests.support.background import BackgroundProcess
from tests.support.pipeline_commands import run_to_end
from tests.support.ports import free_port

START_S = 180.0
APPLY_AND_MATERIALIZE = """
from sequences.feast_store import import_feast
import_feast()
from feast.cli.cli import cli
cli(["-c", "feature_repo", "apply"], standalone_mode=False)
from sequences.online.materialize import main
main()
"""
"""`feast apply` and `python -m sequences.online.materialize` in one process, because importing Feast takes seconds."""


@dataclass(frozen=True)
class Place:
    """Home, port and environment of a service that can be started repeatedly."""

    home: Path
    port: int
    variables: dict[str, str]


@dataclass(frozen=True)
class Service:
    """A running service, and the seconds until it answered."""

    port: int
    start_s: float
    process: BackgroundProcess


@contextlib.contextmanager
def running(
    home: Path, store: str, redis_port: int, prepare: Callable[[Path], date], probe: str = "/livez", **variables: str
) -> Iterator[Service]:
    """A service over materialized features that answers `probe`."""
    with prepared(home, store, redis_port, prepare, **variables) as place, started(place, probe) as service:
        yield service


@contextlib.contextmanager
def prepared(
    home: Path, store: str, redis_port: int, prepare: Callable[[Path], date], **variables: str
) -> Iterator[Place]:
    """Materialize features in a home. Until the end of the context, this process has the home's settings.

    `prepare` writes marts below `home`, and a release if needed, and returns the day to materialize.
    """
    port = free_port()
    chosen = {
        "SEGUE_HOME": str(home),
        "SEGUE_RECOMMENDER_PORT": str(port),
        "SEGUE_ONLINE_STORE": store,
        "SEGUE_REDIS": f"127.0.0.1:{redis_port}",
    }
    with mock.patch.dict(os.environ):
        os.environ.pop("SEGUE_MARTS", None)
        os.environ.update(chosen | variables)
        as_of = prepare(home)
        known = environment(settings.load_settings())
        run_to_end([sys.executable, "-c", APPLY_AND_MATERIALIZE, "--as-of", f"{as_of}"], known)
        yield Place(home, port, known)


@contextlib.contextmanager
def started(place: Place, probe: str = "/livez") -> Iterator[Service]:
    """A service process that answers `probe`; stopped at the end if it still runs."""
    log = place.home / "service.log"
    began = time.monotonic()
    service = background.start([sys.executable, "-m", "serving"], place.variables, settings.ROOT, log)
    try:
        wait_until_ready(service, place.port, probe, log)
        yield Service(place.port, time.monotonic() - began, service)
    finally:
        service.stop()


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and JSON content of the answer to a request without or with a body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST" if body else "GET", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def wait_until_ready(service: BackgroundProcess, port: int, probe: str, log: Path) -> None:
    """Wait until a service process answers `probe` with 200.

    Raises:
        RuntimeError: It ended, or does not answer; the message has the end of its log.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and service.is_running():
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", probe)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the service did not start: {log.read_text()[-2000:]}")
