"""The real service, killed again and again while events arrive: what was acknowledged is in the log and in the store, once."""

import http.client
import json
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.data import synthetic_users
from sequences.feast_store import open_store
from sequences.online.reader_writer import OnlineReader
from tests.support import recommender_service, valkey

FULL = bool(os.environ.get("SEGUE_ACCEPTANCE"))
KILLS = 20 if FULL else 1
EVENTS_A_SECOND, CLIENTS = 200, 16
# So many users that nobody's newest clicks outgrow what a view keeps, however slowly a service starts again and again.
USERS = 6_000 if FULL else 600
ALIVE_S = (1.0, 4.0)
pytestmark = [pytest.mark.line, pytest.mark.timeout(3600 if FULL else 300)]


class Clients:
    """Reports leave on a clock; one that was not acknowledged is reported again, under the same id, until it is."""

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
            answer = connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            self._local.connection = None
            return False
        self._local.connection = connection
        assert answer.status == 200, told
        assert told["accepted"] + told["duplicate"] == 1, told
        self.acknowledged.add(f"kill{number}")
        return True

    def finish(self):
        """Every event that was begun is acknowledged."""
        self._stop.set()
        for one in self._running:
            one.result(timeout=120)
        self._pool.shutdown()


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_nothing_acknowledged_is_lost_and_nothing_is_there_twice(tmp_path, store):
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
        logged = [
            json.loads(line)["event_id"]
            for file in (tmp_path / "live").glob("dt=*/events-*.jsonl")
            for line in file.read_text().splitlines()
        ]
        assert len(clients.acknowledged) > EVENTS_A_SECOND * KILLS
        assert clients.acknowledged <= set(logged)
        assert len(logged) == len(set(logged))
        reader = OnlineReader(open_store())
        for user in range(USERS):
            found = [one for one in reader.read(f"u{user:06d}")["recent_clicks"]["event_id"] if one.startswith("kill")]
            assert len(found) == len(set(found))
            mine = {one for one in clients.acknowledged if int(one.removeprefix("kill")) % USERS == user}
            assert set(found) == mine
