"""Other protocols on a service with API keys and user tokens: who the user is, and that bodies wait for authentication."""

import asyncio
import json
from types import SimpleNamespace
from unittest import mock

import pytest

from serving.errors import NotReady
from serving.http.access_policy import AccessControl, AccessPolicy, ApiKeys
from serving.http.admission import Admission, RequestQueue
from serving.http.protocols.gateway import Protocols
from serving.http.request_body import BodyReader
from tests.support.serving.asgi_call import call, respond
from web.rate_limit import RateLimit

KEY = "k" * 20
LISTEN = {"artist_name": "Artist", "track_name": "Song", "additional_info": {"recording_mbid": "m1"}}
SUBMISSION = {"listen_type": "single", "payload": [{"listened_at": 1_700_000_000, "track_metadata": LISTEN}]}


class Service:
    """The middlewares around an API that records its calls."""

    def __init__(self, queues=(), rate_limit=None):
        self.calls, self.headers = [], {}
        admission = Admission(self.api, queues, 9, lambda path: None)
        self.find_by_names = mock.Mock(
            side_effect=lambda names, user: [title if artist == "Known" else None for title, artist in names]
        )
        gateway = Protocols(admission, BodyReader(20_000, timeout_s=5), lambda: self, lambda name: None)
        policy = AccessPolicy(ApiKeys([KEY]), rate_limit, tokens=SimpleNamespace(read_user={"TOKEN": "me"}.get))
        self.app = AccessControl(gateway, policy, lambda reason: None)

    async def api(self, scope, receive, send):
        self.calls.append((scope["path"], json.loads((await receive())["body"])))
        await respond(send, json.dumps({"items": [], "accepted": 1, "duplicate": 0, "rejected": []}).encode())

    def submit(self, submission, authorization=f"Token {KEY}:u", query=b"", until=None):
        """Status and body of the response to a submission of listens."""
        headers = [(b"authorization", authorization.encode())] if authorization else []
        scope = {
            "method": "POST",
            "path": "/1/submit-listens",
            "query_string": query,
            "headers": headers,
            "client": ("10.0.0.1", 1),
            "server": ("10.0.0.7", 3000),
        }
        status, self.headers, content = asyncio.run(call(self.app, scope, json.dumps(submission).encode(), until=until))
        return status, content


@pytest.fixture
def service():
    return Service()


@pytest.mark.parametrize(
    ("token", "user"), [(f"{KEY}:u:1", "u:1"), ("TOKEN", "me"), ("TOKEN:you", "me")], ids=["key", "token", "other user"]
)
def test_listens_are_those_of_the_user_of_the_credential(service, token, user):
    assert service.submit(SUBMISSION, f"Token {token}")[0] == 200 and service.calls[-1][0] == "/events"
    (event,) = service.calls[-1][1]["events"]
    assert (event["user_id"], event["target_id"], event["action"]) == (user, "m1", "play")


@pytest.mark.parametrize("authorization", ["", "Token you", "Token wrong:u", "Bearer wrong"])
def test_body_is_not_read_without_a_credential(service, authorization):
    assert service.submit(SUBMISSION, authorization, b"u=u&apiKey=" + KEY.encode(), until=asyncio.Event())[0] == 401


def imported(count):
    return {
        "listen_type": "import",
        "payload": [
            {
                "listened_at": 1_700_000_000 + number,
                "track_metadata": {"artist_name": "Known", "track_name": f"t{number}"},
            }
            for number in range(count)
        ],
    }


def test_an_import_is_one_lookup_and_one_report_and_counts_as_its_listens():
    now = [0.0]
    service = Service(rate_limit=RateLimit(10, clock_s=lambda: now[0]))
    assert service.submit(imported(100))[0] == 200
    assert service.find_by_names.call_count == 1 and [path for path, _ in service.calls] == ["/events"]
    assert [event["target_id"] for event in service.calls[0][1]["events"]] == [f"t{number}" for number in range(100)]
    status, _ = service.submit(imported(1))
    assert (status, service.headers[b"retry-after"]) == (429, b"9"), "20 at once, 10 per second"
    now[0] = 9.0
    assert service.submit(imported(1))[0] == 200


def test_an_import_that_the_service_does_not_take_is_not_acknowledged():
    assert Service([RequestQueue(("/events",), 0, 0)]).submit(imported(50))[0] == 503


def test_listens_are_not_acknowledged_without_a_release(service):
    service.find_by_names.side_effect = NotReady("no release is in service yet")
    status, body = service.submit(SUBMISSION)
    assert (status, service.headers[b"retry-after"], service.calls) == (503, b"1", [])
    assert "no release" in json.loads(body)["detail"]
    assert service.submit({"listen_type": "playing_now", "payload": [{"track_metadata": LISTEN}]})[0] == 200
