"""From the moment a client sends `POST /events` until a read of the online store has the event.

The real service on a free port, its own process and home, SQLite or Redis; users are `listeners`, materialised. Reports
of one event leave on a clock, 200 a second, whether the ones before are answered or not, and time counts from the tick:
a queue that builds up is in the figure. After the answer this process reads the user through the one reader, again and
again until the event is there. It settles its heap first as the service does: a pause of the reading process would be
taken for one of the service. Figures: `event_to_read_p99` (SQLite), `event_to_read_p99_redis`; both must stay under 50.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.data import synthetic_users
from benchmarks.result import Result, result_with_limit
from config import garbage_collector
from sequences.feast_store import open_store
from sequences.online.reader_writer import OnlineReader
from tests.support import recommender_service, valkey

EVENTS_PER_SECOND = 200
CLIENTS = 16
USERS = 100
LIMIT_MS = 50.0
WARM_UP_SHARE = 0.1


def run(events: int) -> list[Result]:
    """The 99th percentile of so many events, after a tenth more that are not counted."""
    figures = []
    with valkey.running() as server:
        for name, store in (("event_to_read_p99", "sqlite"), ("event_to_read_p99_redis", "redis")):
            with (
                tempfile.TemporaryDirectory() as home,
                recommender_service.running(Path(home), store, server.port, _write_users) as service,
            ):
                figures.append(result_with_limit(name, "ms", _measure_p99_ms(service.port, events), LIMIT_MS))
    return figures


def _write_users(home: Path) -> date:
    synthetic_users.write_events(home / "marts", USERS)
    return synthetic_users.AS_OF


def _measure_p99_ms(port: int, events: int) -> float:
    reader, local, chance = OnlineReader(open_store()), threading.local(), random.Random(0)
    whose = [f"u{chance.randrange(USERS):06d}" for _ in range(round(events * (1 + WARM_UP_SHARE)) + 1)]
    began = 0.0

    def report(number: int) -> float:
        tick = began + number / EVENTS_PER_SECOND
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
    garbage_collector.freeze_gc()
    began = time.perf_counter() + 0.5
    with ThreadPoolExecutor(CLIENTS) as clients:
        seconds = list(clients.map(report, range(len(whose) - 1)))
    return float(np.quantile(seconds[round(events * WARM_UP_SHARE) :], 0.99)) * 1000
