"""The service is killed repeatedly while events arrive: acknowledged events are in the store exactly once."""

import http.client
import json
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from event_store.sqlite_stores import SqliteEventStore
from research.data import synthetic_users
from tests.support import recommender_service, valkey
from tests.support.progress import FULL, sized
from tests.support.tiers import acceptance_only

KILLS = sized(100, 1)
EVENTS_A_SECOND, CLIENTS = 200, 16
# Enough users that the newest clicks of each fit into a view, however slowly the service restarts.
USERS = 20_000 if FULL else 600
ALIVE_S = (1.0, 4.0)
pytestmark = [pytest.mark.timeout(7200 if FULL else 300)]


class Clients:
    """Clients that send events at a fixed rate and repeat an event, with the same id, until it is acknowledged."""

    def __init__(self, port):
        self.port, self.acknowledged, self.refused = port, set(), 0
        self._stop, self._local = threading.Event(), threading.local()
        self._numbers, self._lock = iter(range(1_000_000)), threading.Lock()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._began = time.monotonic()
        self._running = [self._pool.submit(self._client) for _ in range(CLIENTS)]

    def _client(self):
        while not self._stop.is_set():
            with self._lock:
                number = next(self._numbers)
            time.sleep(max(0.0, self._began + number / EVENTS_A_SECOND - time.monotonic()))
            while not self._report(number):
                time.sleep(0.2)

    def _report(self, number):
        event = {"event_id": f"kill{number}", "user_id": f"u{number % USERS:06d}", "target_type": "track"}
        body = json.dumps({"events": [event | {"target_id": f"{number}", "action": "click"}]})
        connection = getattr(self._local, "connection", None) or http.client.HTTPConnection("127.0.0.1", self.port, 10)
        try:
            connection.request("POST", "/events", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            self._local.connection = None
            return False
        self._local.connection = connection
        assert response.status == 200, content
        assert content["accepted"] + content["duplicate"] == 1, content
        self.acknowledged.add(f"kill{number}")
        return True

    def finish(self):
        """Wait until every event is acknowledged."""
        self._stop.set()
        for client in self._running:
            client.result(timeout=120)
        self._pool.shutdown()


@pytest.mark.parametrize("store", ["sqlite", pytest.param("redis", marks=acceptance_only)])
def test_acknowledged_events_are_stored_exactly_once(tmp_path, store):
    def prepare(home):
        synthetic_users.write_events(home / "marts", 1)
        return synthetic_users.AS_OF

    chance = random.Random(0)
    with valkey.running() as server, recommender_service.prepared(tmp_path, store, server.port, prepare) as place:
        clients = None
        for _ in range(KILLS):
            with recommender_service.started(place) as service:
                clients = clients or Clients(place.port)
                time.sleep(chance.uniform(*ALIVE_S))
                os.kill(service.process.pid, signal.SIGKILL)
        with recommender_service.started(place):
            clients.finish()
        store = SqliteEventStore(tmp_path / "serving", lambda: time.time_ns() // 1000)
        stored = [event["event_id"] for _, event in store.read(None, 10_000_000)]
        assert len(clients.acknowledged) > EVENTS_A_SECOND * KILLS
        assert clients.acknowledged <= set(stored)
        assert len(stored) == len(set(stored))
        user_of = {event["event_id"]: user for user in range(USERS) for event in store.of_user(f"u{user:06d}").events}
        assert user_of == {one: int(one.removeprefix("kill")) % USERS for one in clients.acknowledged}
        store.close()
