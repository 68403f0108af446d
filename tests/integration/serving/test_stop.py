"""The real service during SIGTERM."""

import http.client
import json
import os
import signal
import socket

import pytest

from tests.support import recommender_service, recorded, release_swap
from tests.support.waiting import wait_until

EVENTS, REPORTS, ANSWERS = 300, 12, 8


def begin(port, path, body):
    """A request that the service has begun to receive, and the body that is left to send."""
    content = json.dumps(body).encode()
    connection = socket.create_connection(("127.0.0.1", port), timeout=120)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode())
    assert connection.recv(1000).startswith(b"HTTP/1.1 100")
    return connection, content


def end(connection, content):
    """Status of the response."""
    connection.sendall(content)
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status


def report(number):
    ids = [f"stop{number}-{event}" for event in range(EVENTS)]
    rows = [{"event_id": one, "user_id": f"u{number:06d}", "action": "click"} for one in ids]
    return {"events": [row | {"target_type": "track", "target_id": f"t{place}"} for place, row in enumerate(rows)]}


@pytest.mark.timeout(600)
def test_sigterm_finishes_requests_and_keeps_acknowledged_events(tmp_path):
    with (
        release_swap.prepare_one_release(tmp_path, REPORTS) as place,
        recommender_service.started(place, "/readyz") as service,
    ):
        begun = [begin(place.port, "/events", report(number)) for number in range(REPORTS)]
        wanted = [{"user_id": f"u{number:06d}", "scene": "private_fm"} for number in range(ANSWERS)]
        begun += [begin(place.port, "/recommend", body) for body in wanted]
        os.kill(service.process.pid, signal.SIGTERM)
        assert [end(*one) for one in begun] == [200] * (REPORTS + ANSWERS)
        wait_until(lambda: not service.process.members(), "the end")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", place.port))
        logged = [event["event_id"] for event in recorded.events(place.home)]
    assert sorted(logged) == sorted(row["event_id"] for number in range(REPORTS) for row in report(number)["events"])
