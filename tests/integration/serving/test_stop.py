"""The real service during SIGTERM."""

import http.client
import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import recommender_service, recorded, release_swap
from tests.support.waiting import wait_until

EVENTS, REPORTS, ANSWERS = 1000, 12, 8


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
def test_sigterm_finishes_requests_and_keeps_acknowledged_events(tmp_path):
    with (
        release_swap.prepare_service(tmp_path, 400, "debug", REPORTS) as place,
        recommender_service.started(place, "/readyz") as service,
    ):
        check_stop(place, service)


def check_stop(place, service):
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
    wait_until(lambda: not service.process.members(), "the end")
    with pytest.raises(ConnectionRefusedError):
        connected(place.port)
    logged = [event["event_id"] for event in recorded.events(place.home)]
    assert sorted(logged) == sorted(row["event_id"] for number in range(REPORTS) for row in report(number)["events"])
