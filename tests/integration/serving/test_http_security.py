"""Attacks on really running recommenders: without API keys, and with keys and user tokens."""

import contextlib
import http.client
import http.server
import json
import pathlib
import pickle
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from config import settings
from local.environment import environment
from tests.support import recommender_service, recorded
from tests.support.ports import free_port
from tests.support.recommender_service import Place
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(600)]
KEYS = ("k" * 20, "o" * 20)
TOKEN_KEY = ed25519.Ed25519PrivateKey.generate()
PICKLE = "application/vnd.bentoml+pickle"
PATIENCE_S = 60


@dataclass(frozen=True)
class Running:
    """A running recommender without a release."""

    place: Place
    allowed_origin: str

    def log(self) -> str:
        return (self.place.home / "service.log").read_text()


@contextlib.contextmanager
def started(home, **variables) -> Iterator[Running]:
    port, page_port = free_port(), free_port()
    allowed_origin = f"http://localhost:{page_port}"
    chosen = {"SEGUE_HOME": str(home), "SEGUE_RECOMMENDER_PORT": str(port), "SEGUE_ALLOWED_ORIGINS": allowed_origin}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (chosen | variables).items():
            patch.setenv(name, value)
        place = Place(home, port, environment(settings.load_settings()))
    with recommender_service.started(place, "/livez"):
        yield Running(place, allowed_origin)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def send(port, request):
    """Status and body of the response to raw bytes."""
    with connect(port) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


def post(port, path, body, *headers):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}", *headers]
    return send(port, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def recommend(port, *headers):
    """Status and error of a correct request."""
    status, body = post(port, "/recommend", b'{"user_id": "u"}', "Content-Type: application/json", *headers)
    return status, json.loads(body).get("error", "")


@pytest.fixture(scope="module")
def without_keys(tmp_path_factory):
    with started(tmp_path_factory.mktemp("without_keys")) as running:
        yield running


@pytest.fixture(scope="module")
def with_keys(tmp_path_factory):
    home = tmp_path_factory.mktemp("with_keys")
    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (home / "issuer.pem").write_bytes(TOKEN_KEY.public_key().public_bytes(*public))
    variables = {
        "SEGUE_API_KEYS": ",".join(KEYS),
        "SEGUE_JWT_KEY_FILE": str(home / "issuer.pem"),
        "SEGUE_JWT_ISSUER": "issuer",
        "SEGUE_JWT_AUDIENCE": "segue",
    }
    with started(home, **variables) as running:
        yield running


def user_token(user, life_s=600):
    claims = {"sub": user, "iss": "issuer", "aud": "segue", "exp": int(time.time()) + life_s}
    return f"Authorization: Bearer {jwt.encode(claims, TOKEN_KEY, 'EdDSA')}"


class Touch:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self._path,)


@pytest.mark.parametrize("kind", ["without_keys", "with_keys"])
def test_the_service_does_not_execute_pickles(kind, request, tmp_path):
    running = request.getfixturevalue(kind)
    executed = tmp_path / "executed"
    body = pickle.dumps({"events": Touch(executed)})
    json_type, pickle_type = "Content-Type: application/json", f"Content-Type: {PICKLE}"
    client_key = f"Authorization: Bearer {KEYS[0]}"
    attacks = [
        ((pickle_type, json_type), 400),
        ((json_type, pickle_type), 400),
        ((pickle_type,), 415),
        ((f"Content-Type: application/json; {PICKLE}",), 400),
    ]
    for headers, status in attacks:
        assert post(running.place.port, "/events", body, *headers, client_key)[0] == status
    assert not executed.exists()


def test_preflight_names_the_allowed_origin_only(without_keys):
    foreign = ("Content-Type: application/json", "Origin: https://evil.example")
    assert post(without_keys.place.port, "/events", b"{}", *foreign)[0] == 403
    preflight = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type,authorization"
    for origin, status in ((without_keys.allowed_origin, 200), ("https://evil.example", 400)):
        request = f"OPTIONS /events HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n{preflight}\r\n\r\n"
        with connect(without_keys.place.port) as connection:
            connection.sendall(request.encode())
            response = http.client.HTTPResponse(connection, method="OPTIONS")
            response.begin()
            assert response.status == status
            assert response.getheader("Access-Control-Allow-Origin") == (origin if status == 200 else None)


def test_user_token_acts_for_its_own_user_only(with_keys):
    port = with_keys.place.port

    def call(path, body, credential):
        return post(port, path, json.dumps(body).encode(), "Content-Type: application/json", credential)[0]

    credentials = (user_token("u1"), user_token("u2"), user_token("u1", -60), f"Authorization: Bearer {KEYS[0]}")
    statuses = [call("/recommend", {"user_id": "u1"}, credential) for credential in credentials]
    assert statuses == [503, 403, 401, 503]  # 503: no release
    twice = b'{"user_id": "u1", "user_id": "u2"}'
    assert post(port, "/recommend", twice, "Content-Type: application/json", user_token("u1"))[0] == 403
    events = [{"action": "like", "target_type": "track", "target_id": "t1", "user_id": user} for user in ("u1", "u2")]
    assert call("/events", {"events": events}, user_token("u1")) == 403
    assert call("/events", {"events": events[:1]}, user_token("u1")) == 200
    assert {event["user_id"] for event in recorded.events(with_keys.place.home)} == {"u1"}
    assert call("/status", {}, user_token("u1")) == 403


def test_header_with_invalid_bytes_leaves_no_traceback(without_keys):
    port = without_keys.place.port
    for header in ("Content-Type: \xff\xfe", "Content-Type: application/json; \xc3", "User-Agent: \xff\\x"):
        assert post(port, "/listeners", b"{}", header)[0] == 400
    utf8 = "Content-Type: application/é".encode().decode("latin-1")
    assert post(port, "/listeners", b"{}", utf8)[0] == 400
    assert recommend(port)[0] == 503
    wait_until(lambda: "path=/listeners" in without_keys.log(), "the line in the log")
    assert "UnicodeDecodeError" not in without_keys.log()
