"""From the moment a client sends `POST /events` until a read of the online store has the event.

The real service on a free port, its own process and home, SQLite or Redis; users are `listeners`, materialised. Reports
of one event leave on a clock, 200 a second, whether the ones before are answered or not, and time counts from the tick:
a queue that builds up is in the figure. After the answer this process reads the user through the one reader, again and
again until the event is there. It settles its heap first as the service does: a pause of the reading process would be
taken for one of the service. Figures: `event_to_read_p99` (SQLite), `event_to_read_p99_redis`; both must stay under 50.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import settings
from local import process
from local.environment import environment
from local.ports import free_port
from local.process import Background
from sequences.online import OnlineReader
from sequences.store import open_store
from serving import heap
from tests import valkey
from tests.benchmarks import listeners
from tests.benchmarks.benchmark import Result, limited

EVENTS_A_SECOND = 200
CLIENTS = 16
USERS = 100
LIMIT_MS = 50.0
START_S = 120.0
WARM_UP = 0.1


def run(events: int) -> list[Result]:
    """The 99th percentile of so many events, after a tenth more that are not counted."""
    figures = []
    with valkey.running() as server:
        for name, store in (("event_to_read_p99", "sqlite"), ("event_to_read_p99_redis", "redis")):
            with tempfile.TemporaryDirectory() as home, _service(Path(home), store, server.port) as port:
                figures.append(limited(name, "ms", _p99_ms(port, events), LIMIT_MS))
    return figures


@contextlib.contextmanager
def _service(home: Path, store: str, redis_port: int) -> Iterator[int]:
    """A running service over materialised features; this process's settings are its settings meanwhile."""
    port = free_port()
    chosen = {
        "SEGUE_HOME": str(home),
        "SEGUE_RECOMMENDER_PORT": str(port),
        "SEGUE_ONLINE_STORE": store,
        "SEGUE_REDIS": f"127.0.0.1:{redis_port}",
    }
    before = dict(os.environ)
    os.environ.pop("SEGUE_MARTS", None)
    os.environ.update(chosen)
    try:
        listeners.write_events(home / "marts", USERS)
        variables = environment(settings.load())
        for command in (
            ["feast", "-c", "feature_repo", "apply"],
            ["python", "-m", "sequences.materialize", "--as-of", f"{listeners.AS_OF}"],
        ):
            _run(command, variables)
        log = home / "service.log"
        service = process.start([sys.executable, "-m", "serving"], variables, settings.ROOT, log)
        try:
            _wait(service, port, log)
            yield port
        finally:
            process.stop(service)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _p99_ms(port: int, events: int) -> float:
    reader, local, chance = OnlineReader(open_store()), threading.local(), random.Random(0)
    whose = [f"u{chance.randrange(USERS):06d}" for _ in range(round(events * (1 + WARM_UP)) + 1)]
    began = 0.0

    def report(number: int) -> float:
        tick = began + number / EVENTS_A_SECOND
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            local.connection.connect()
            local.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(max(0.0, tick - time.perf_counter()))
        event_id = f"bench{number}"
        event = {
            "event_id": event_id,
            "user_id": whose[number],
            "target_type": "track",
            "target_id": f"{number}",
            "action": "click",
        }
        body = json.dumps({"events": [event]})
        local.connection.request("POST", "/events", body, {"Content-Type": "application/json"})
        answer = json.loads(local.connection.getresponse().read())
        assert answer["accepted"] == 1, answer
        while event_id not in reader.read(whose[number])["recent_clicks"]["event_id"]:
            time.sleep(0.001)
        return time.perf_counter() - tick

    report(len(whose) - 1)  # whatever a first report opens
    heap.settle()
    began = time.perf_counter() + 0.5
    with ThreadPoolExecutor(CLIENTS) as clients:
        seconds = list(clients.map(report, range(len(whose) - 1)))
    return float(np.quantile(seconds[round(events * WARM_UP) :], 0.99)) * 1000


def _run(command: list[str], variables: dict[str, str]) -> None:
    program = str(Path(sys.executable).parent / command[0])
    done = subprocess.run(
        [program, *command[1:]], cwd=settings.ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _wait(service: Background, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and service.is_running():
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/livez")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the service did not start: {log.read_text()[-2000:]}")
