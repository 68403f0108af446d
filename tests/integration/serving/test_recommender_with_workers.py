"""A recommender of several workers: equal responses, one release at a time, events that every worker reads."""

import os
import shutil
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import psutil
import pytest

from config.settings import is_loopback
from recommender.slate.scene_settings import SCENES
from tests.support import recommender_service, release_swap
from tests.support.progress import sized
from tests.support.release_swap import RELEASE_A, RELEASE_B
from tests.support.serving.synthetic_collections import add_collections
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(1800)]
USERS, WORKERS = 12, 2
TIMEOUT_S = 60.0
BLOCKS = sized(10_000, 40)


def post(port, path, body):
    status, content = recommender_service.ask(port, path, body)
    assert status == 200, content
    return content


def answers(port):
    """Yield the deterministic part of each response: every scene, similar tracks and profiles, for known users and an unknown one.

    Exploration fills the last positions of daily lists and streams with random tracks.
    """
    users = [*(f"u{user:06d}" for user in range(3)), "unknown"]
    questions = [("/recommend", {"user_id": user, "scene": scene}) for user in users for scene in SCENES]
    for path, body in [*questions, ("/similar", {"track_id": "t1"})]:
        content = post(port, path, body | {"limit": 10, "debug": True})
        deterministic = content["items"][: 3 if body.get("scene") in ("daily", "private_fm") else 10]
        yield content["release"], deterministic, content["trace"]["candidates"], content["trace"]["left_out"]
    yield [post(port, "/listener", {"user_id": user}) for user in users]


def with_fixed_clock(place, folder):
    """The home with a fixed clock for every process: scores depend on the time of the request."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"import time\ntime.time_ns = lambda: {time.time_ns()}\n")
    path = f"{folder}{os.pathsep}{place.variables.get('PYTHONPATH', '')}"
    return replace(place, variables=place.variables | {"PYTHONPATH": path})


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A home, `place` with a clock that stands still, and responses and number of processes of a service without further ones."""
    home = tmp_path_factory.mktemp("home")
    with release_swap.prepare_service(
        home, 400, "debug", release_swap.RETURNING_USERS, partial(add_collections, count=20, tracks=5)
    ) as prepared:
        place = with_fixed_clock(prepared, home / "clock")
        with recommender_service.started(place, "/readyz") as service:
            found = {"responses": list(answers(place.port)), "processes": len(service.process.members())}
        yield SimpleNamespace(place=place, ticking=prepared, **found)


@pytest.fixture
def place(one):
    """The home without the daily lists of the service before."""
    shutil.rmtree(one.place.home / "serving", ignore_errors=True)
    return one.place


def test_responses_have_every_channel(one):
    *lists, listeners = one.responses
    assert all(len(items) in (3, 10) and not left_out for _, items, _, left_out in lists)
    assert listeners[0]["interests"] and listeners[0]["long_term"] and not listeners[-1]["is_known"]
    assert {len(candidates) for _, _, candidates, _ in lists} > {1}, "all channels, and popularity for an unknown user"


def test_a_recommender_with_workers_responds_like_one_process(one, place):
    place = replace(place, variables=place.variables | {"SEGUE_WORKERS": str(WORKERS)})
    with recommender_service.started(place, "/readyz") as service:
        assert list(answers(place.port)) == one.responses
        members = service.process.members()
        assert len(members) == one.processes + WORKERS - 1
        wait_until(lambda: len(worker_names(place.port)) == WORKERS, "all workers")
        listening = [
            connection.laddr
            for member in members
            for connection in member.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert all(is_loopback(address.ip) for address in listening)
        assert {address.port for address in listening} == {place.port}


def test_workers_swap_releases_together_and_read_each_others_events(one, place):
    """Also after one of them was killed."""
    place = replace(one.ticking, variables=one.ticking.variables | {"SEGUE_WORKERS": str(WORKERS)})
    with recommender_service.started(place, "/readyz") as service:
        wait_until(lambda: len(worker_names(place.port)) == WORKERS, "all workers")
        check_read_your_writes(place.port)
        seen = release_swap.measure_changes(place)
        assert seen.releases == {RELEASE_A, RELEASE_B} and seen.requests > 50
        assert (seen.failed_requests, seen.mismatched_responses, seen.mixed_responses) == ([], [], [])
        check_killed_workers(place.port, service)


def check_read_your_writes(port):
    """Every acknowledged block changes the next response of its user."""

    def block_first(number):
        request = {"user_id": f"u{number % USERS:06d}", "scene": "private_fm", "limit": 5, "discovery": 0.0}
        shown = post(port, "/recommend", request)["items"][0]["track_id"]
        event = {"target_type": "track", "target_id": shown, "action": "block", "user_id": request["user_id"]}
        report = post(port, "/events", {"events": [event | {"event_id": str(uuid.uuid4())}]})
        assert report["accepted"] == 1, report
        return shown not in {item["track_id"] for item in post(port, "/recommend", request)["items"]}

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(block_first, range(BLOCKS))) == [True] * BLOCKS


def check_killed_workers(port, service):
    """Other workers answer while a killed one starts again, and none outlives the supervisor."""
    before = worker_names(port)
    psutil.Process(int(before.copy().pop().rpartition("-")[2])).kill()
    wait_until(lambda: worker_names(port) not in (before, set()), "another worker")
    check_read_your_writes(port)
    members = service.process.members()
    os.kill(service.process.pid, signal.SIGKILL)
    assert not psutil.wait_procs(members, TIMEOUT_S)[1]


def worker_names(port):
    return {worker["name"] for worker in recommender_service.ask(port, "/status")[1]["workers"]}
