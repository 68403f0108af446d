"""The real service during release swaps, canaries and rollbacks by the real commands, and during SIGTERM."""

import http.client
import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import release_swap
from tests.support.release_swap import CHANGES, RELEASE_A, RELEASE_B, LoadObservations, has_mismatched_release

EVENTS, REPORTS, ANSWERS = 1000, 12, 8


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with release_swap.start_service(home, tracks=400, recipe="debug", users=release_swap.RETURNING_USERS) as running:
        yield running


@pytest.mark.timeout(600)
def test_swap_without_failed_or_mixed_requests(served):
    seen = release_swap.measure_changes(*served, seconds=6, rate=10, changes=CHANGES[:3])
    assert seen.releases == {RELEASE_A, RELEASE_B} and len(seen.memory_bytes) == 3
    assert seen.requests > 50
    assert (seen.failed_requests, seen.mismatched_responses, seen.mixed_responses) == ([], [], [])


def test_mixed_response_would_be_detected():
    item = {"title": f"Song [{RELEASE_A}]", "reason": "because it is among the most played tracks"}
    assert not has_mismatched_release({"release": RELEASE_A, "items": [item]})
    assert has_mismatched_release({"release": RELEASE_B, "items": [item]})
    assert not has_mismatched_release({"release": RELEASE_B, "items": [item | {"release": RELEASE_A}]})
    assert has_mismatched_release(
        {"release": RELEASE_A, "items": [item | {"reason": f"because it is close to Song 2 [{RELEASE_B}]"}]}
    )


@pytest.mark.parametrize(
    ("scene", "of", "is_wrong"),
    [
        ("private_fm", (RELEASE_A, RELEASE_A), False),
        ("private_fm", (RELEASE_A, RELEASE_B), True),
        ("daily", (RELEASE_A, RELEASE_B), False),
        ("daily", (RELEASE_B, RELEASE_A), True),
    ],
)
def test_only_daily_lists_may_have_two_releases(scene, of, is_wrong):
    """A response with items of these releases, in this order; a continued list (`is_continued`) ends with its own release."""
    items = [{"title": f"Song [{one}]", "reason": "", "release": one} for one in of]
    answer = {"release": of[0] if scene == "private_fm" else RELEASE_B, "items": items}
    for item in items:
        if item["release"] == answer["release"]:
            del item["release"]
    seen = LoadObservations()
    release_swap._record_response(seen, (200, {"scene": scene, "limit": 2}, answer))
    assert (len(seen.mixed_responses) == 1) == is_wrong and not seen.mismatched_responses
    assert seen.continued_lists == (scene == "daily" and not is_wrong)


def connected(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.connect()
    return connection


def send(connection, path, body):
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def report(number):
    ids = [f"stop{number}-{event}" for event in range(EVENTS)]
    rows = [{"event_id": one, "user_id": f"u{number:06d}", "action": "click"} for one in ids]
    return {"events": [row | {"target_type": "track", "target_id": f"t{place}"} for place, row in enumerate(rows)]}


def counted(port):
    """Running and finished requests for events and tracks."""
    connection = connected(port)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    line = r'^bentoml_service_request_{}{{[^}}]*endpoint="/(?:events|recommend)"[^}}]*}} (\S+)$'
    return [
        int(sum(float(count) for count in re.findall(line.format(name), text, re.MULTILINE)))
        for name in ("in_progress", "total")
    ]


@pytest.mark.timeout(600)
def test_sigterm_finishes_requests_and_keeps_acknowledged_events(served):
    place, service = served
    _, before = counted(place.port)
    connections = [connected(place.port) for _ in range(REPORTS + ANSWERS)]
    with ThreadPoolExecutor(REPORTS + ANSWERS) as pool:
        reports = [pool.submit(send, connections.pop(), "/events", report(number)) for number in range(REPORTS)]
        wanted = [{"user_id": f"u{number:06d}", "scene": "private_fm"} for number in range(ANSWERS)]
        answers = [pool.submit(send, connections.pop(), "/recommend", body) for body in wanted]
        deadline = time.monotonic() + 60
        while sum(now := counted(place.port)) - before < REPORTS + ANSWERS and time.monotonic() < deadline:
            pass
        os.kill(service.process.pid, signal.SIGTERM)
        assert now[0] > 0, "everything was answered before the signal; send more"
        assert [one.result()[0] for one in reports + answers] == [200] * (REPORTS + ANSWERS)
    while service.process.members() and time.monotonic() < deadline + 60:
        time.sleep(0.1)
    assert service.process.members() == []
    with pytest.raises(ConnectionRefusedError):
        connected(place.port)
    logged = [
        json.loads(line)["event_id"]
        for file in (place.home / "live").glob("dt=*/events-*.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert sorted(logged) == sorted(row["event_id"] for number in range(REPORTS) for row in report(number)["events"])
