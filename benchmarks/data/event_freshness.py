"""Latency from a client's `POST /events` until the event can be read from the online store.

The service runs in its own process and home on a free port, with SQLite or Redis; users are `synthetic_users`,
materialized. Single events are sent on a clock, 200 per second, without waiting for earlier responses, and the latency
counts from the tick, so queueing is included. After the response this process polls the user's features until the event
is there. It freezes its garbage collector as the service does, so its own pauses are not measured. Results:
`event_to_read_p99` (SQLite) and `event_to_read_p99_redis`, in ms; both must stay under 50.
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
    """Return the 99th percentile over `events` events, after a warm-up of a tenth more."""
    results = []
    with valkey.running() as server:
        for name, store in (("event_to_read_p99", "sqlite"), ("event_to_read_p99_redis", "redis")):
            with (
                tempfile.TemporaryDirectory() as home,
                recommender_service.running(Path(home), store, server.port, _write_users) as service,
            ):
                results.append(result_with_limit(name, "ms", _measure_p99_ms(service.port, events), LIMIT_MS))
    return results


def _write_users(home: Path) -> date:
    synthetic_users.write_events(home / "marts", USERS)
    return synthetic_users.AS_OF


def _measure_p99_ms(port: int, events: int) -> float:
    reader, local, chance = OnlineReader(open_store()), threading.local(), random.Random(0)
    user_ids = [f"u{chance.randrange(USERS):06d}" for _ in range(round(events * (1 + WARM_UP_SHARE)) + 1)]
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
            "user_id": user_ids[number],
            "target_type": "track",
            "target_id": f"{number}",
            "action": "click",
        }
        body = json.dumps({"events": [event]})
        local.connection.request("POST", "/events", body, {"Content-Type": "application/json"})
        response = json.loads(local.connection.getresponse().read())
        assert response["accepted"] == 1, response
        while event_id not in reader.read(user_ids[number])["recent_clicks"]["event_id"]:
            time.sleep(0.001)
        return time.perf_counter() - tick

    report(len(user_ids) - 1)  # opens connections
    garbage_collector.freeze_gc()
    began = time.perf_counter() + 0.5
    with ThreadPoolExecutor(CLIENTS) as clients:
        seconds = list(clients.map(report, range(len(user_ids) - 1)))
    return float(np.quantile(seconds[round(events * WARM_UP_SHARE) :], 0.99)) * 1000
