"""Attacks on a really running recommender with API keys and user tokens."""

import http.client
import http.server
import json
import pathlib
import pickle
import socket
import time

import jwt
import pytest

from config import settings
from local.environment import environment
from tests.support import recommender_service, recorded
from tests.support.ports import free_port
from tests.support.recommender_service import Place
from tests.support.signing_keys import write_keys
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(600)]
KEYS = ("k" * 20, "o" * 20)
CLIENT_KEY = f"Authorization: Bearer {KEYS[0]}"
PICKLE = "application/vnd.bentoml+pickle"
PATIENCE_S = 60
ALLOWED_ORIGIN = "http://localhost:5173"


def send(place, *lines, body=b""):
    """The response to a request with these lines before its body."""
    with socket.create_connection(("127.0.0.1", place.port), timeout=PATIENCE_S) as connection:
        head = [*lines, "Host: localhost", "Connection: close", f"Content-Length: {len(body)}", "", ""]
        connection.sendall("\r\n".join(head).encode("latin-1") + body)
        response = http.client.HTTPResponse(connection, method=lines[0].split()[0])
        response.begin()
        return response


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A running recommender without a release."""
    home = tmp_path_factory.mktemp("home")
    here = settings.Settings(home=home, recommender_port=free_port())
    _, public = write_keys(home, "issuer")
    variables = {
        "SEGUE_ALLOWED_ORIGINS": ALLOWED_ORIGIN,
        "SEGUE_API_KEYS": ",".join(KEYS),
        "SEGUE_JWT_KEY_FILE": str(public),
        "SEGUE_JWT_ISSUER": "issuer",
        "SEGUE_JWT_AUDIENCE": "segue",
    }
    place = Place(home, here.recommender_port, environment(here) | variables)
    with recommender_service.started(place):
        yield place


def user_token(place, user, life_s=600):
    claims = {"sub": user, "iss": "issuer", "aud": "segue", "exp": int(time.time()) + life_s}
    return f"Authorization: Bearer {jwt.encode(claims, (place.home / 'issuer.pem').read_bytes(), 'EdDSA')}"


class Touch:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self._path,)


def test_the_service_does_not_execute_pickles(place, tmp_path):
    executed = tmp_path / "executed"
    body = pickle.dumps({"events": Touch(executed)})
    json_type, pickle_type = "Content-Type: application/json", f"Content-Type: {PICKLE}"
    for headers, status in [
        ((pickle_type, json_type), 400),
        ((json_type, pickle_type), 400),
        ((pickle_type,), 415),
        ((f"Content-Type: application/json; {PICKLE}",), 400),
    ]:
        assert send(place, "POST /events HTTP/1.1", *headers, CLIENT_KEY, body=body).status == status
    assert not executed.exists()


@pytest.mark.parametrize(
    ("origin", "status", "allowed"), [(ALLOWED_ORIGIN, 200, ALLOWED_ORIGIN), ("https://evil.example", 400, None)]
)
def test_preflight_names_the_allowed_origin_only(place, origin, status, allowed):
    asked = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type,authorization")
    response = send(place, "OPTIONS /events HTTP/1.1", f"Origin: {origin}", *asked)
    assert (response.status, response.getheader("Access-Control-Allow-Origin")) == (status, allowed)


def test_user_token_acts_for_its_own_user_only(place):
    def call(path, body, credential):
        kind = "Content-Type: application/json"
        return send(place, f"POST {path} HTTP/1.1", kind, credential, body=json.dumps(body).encode()).status

    credentials = (user_token(place, "u1"), user_token(place, "u2"), user_token(place, "u1", -60), CLIENT_KEY)
    statuses = [call("/recommend", {"user_id": "u1"}, credential) for credential in credentials]
    assert statuses == [503, 403, 401, 503]  # 503: no release
    events = [{"action": "like", "target_type": "track", "target_id": "t1", "user_id": user} for user in ("u1", "u2")]
    assert call("/events", {"events": events}, user_token(place, "u1")) == 403
    assert call("/events", {"events": events[:1]}, user_token(place, "u1")) == 200
    assert {event["user_id"] for event in recorded.events(place.home)} == {"u1"}


def test_a_header_with_other_bytes_than_ascii_leaves_no_traceback(place):
    utf_8 = "Content-Type: application/é".encode().decode("latin-1")
    for header in ("Content-Type: \xff\xfe", "User-Agent: \xff\\x", utf_8):
        assert send(place, "POST /listeners HTTP/1.1", header, CLIENT_KEY, body=b"{}").status == 400
    log = place.home / "service.log"
    wait_until(lambda: "path=/listeners" in log.read_text(), "the line in the log")
    assert "UnicodeDecodeError" not in log.read_text()
