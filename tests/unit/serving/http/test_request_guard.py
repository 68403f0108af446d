"""Request guard: rejected and accepted requests."""

import asyncio
import json

import pytest

from serving.http.request_body import BodyReader
from serving.http.request_guard import RequestGuard
from tests.support.serving.asgi_call import call, respond


class Server:
    """Calls a guard like an ASGI server; `app` echoes the body."""

    def __init__(self, timeout_s=60):
        self.seen, self.passed_headers = [], []
        self.guard = RequestGuard(self.app, BodyReader(max_bytes=10, timeout_s=timeout_s))

    async def app(self, scope, receive, send):
        body = (await receive())["body"] if scope.get("method") == "POST" else b""
        self.seen.append((scope["type"], body))
        self.passed_headers = scope.get("headers")
        await respond(send, body)

    def ask(self, method, path="/events", body=(b"",), kinds=(b"application/json",), length=b"", until=None, **more):
        length = length or b"%d" % sum(map(len, body))
        headers = [(b"content-length", length), *((b"content-type", kind) for kind in kinds)]
        scope = {"method": method, "path": path, "headers": headers, "client": ("10.0.0.1", 5)}
        return asyncio.run(call(self.guard, scope | more, *body, until=until))


@pytest.fixture
def server():
    return Server()


def test_chunked_body_is_reassembled(server):
    assert server.ask("POST", body=(b"12345", b"", b"67890"))[::2] == (200, b"1234567890")


@pytest.mark.parametrize(
    ("body", "length", "error"),
    [
        pytest.param((b"123456", b"78901", b"never read"), b"11", "larger than 10 bytes", id="sent"),
        pytest.param((b"123456",), b"11", "larger than 10 bytes", id="declared"),
        # Python's `int` raises an error for more than 4,300 digits.
        pytest.param((), b"0" * 4301, "4301 characters", id="long zero"),
        pytest.param((), b"9" * 4301, "4301 characters", id="long number"),
    ],
)
def test_oversized_body_is_rejected_early(server, body, length, error):
    status, sent, answer = server.ask("POST", body=body, length=length)
    assert (status, sent[b"content-type"], server.seen) == (413, b"application/problem+json", [])
    assert error in json.loads(answer)["error"]


def test_late_body_is_rejected():
    server = Server(timeout_s=0)
    status, headers, body = server.ask("POST", body=(b"{}",), until=asyncio.Event())
    assert (status, headers[b"connection"], server.seen) == (408, b"close", [])
    assert "did not arrive" in json.loads(body)["error"]


def test_disconnected_client_does_not_reach_the_service(server):
    assert server.ask("POST", body=())[0] == 400 and server.seen == []


PICKLE = b"application/vnd.bentoml+pickle"


@pytest.mark.parametrize(
    ("kinds", "status", "error"),
    [
        *(
            ((kind,), 415, "; send application/json")
            for kind in (b"text/plain", b"multipart/form-data; boundary=x", b"")
        ),
        ((b"application/jsonx",), 415, "; send application/json"),
        ((), 415, "no content type; send Content-Type: application/json"),
        *(((kind,), 400, "ASCII") for kind in (b"\xff\xfe", b"application/json; charset=\xff")),
        ((PICKLE, b"application/json"), 400, "2 headers Content-Type"),
        ((b"application/json", PICKLE), 400, "2 headers Content-Type"),
        ((b"application/json", b"application/json"), 400, "2 headers Content-Type"),
    ],
)
def test_other_content_types_are_rejected(server, kinds, status, error):
    found, _, body = server.ask("POST", body=(b"{}",), kinds=kinds)
    assert (found, server.seen) == (status, []) and error in json.loads(body)["error"]


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON; charset=utf-8"])
def test_json_passes_with_the_plain_content_type(server, kind):
    assert server.ask("POST", body=(b"{}",), kinds=(kind,))[::2] == (200, b"{}")
    assert [value for name, value in server.passed_headers if name == b"content-type"] == [b"application/json"]
    assert len(server.passed_headers) == 2


@pytest.mark.parametrize(
    "request_options",
    [{"method": "POST"}, {"method": "GET"}, {"method": "", "type": "lifespan"}],
    ids=["POST", "GET", "lifespan"],
)
def test_requests_without_a_body_and_other_messages_pass(server, request_options):
    kinds = () if request_options["method"] == "POST" else (b"text/plain",)
    server.ask(**request_options, kinds=kinds)
    assert server.seen == [(request_options.get("type", "http"), b"")]
