"""Request guard: rejected and accepted requests, and the API page."""

import asyncio
import json
import re

import pytest

from serving.http.request_body import BodyLimits
from serving.http.request_guard import RequestGuard


class Server:
    """Calls a guard like an ASGI server; `app` echoes the body."""

    def __init__(self, timeout_s=60, max_incomplete=9):
        self.seen, self.passed_headers = [], []
        limits = BodyLimits(max_bytes=10, timeout_s=timeout_s, max_incomplete=max_incomplete)
        self.guard = RequestGuard(self.app, lambda: {"info": {"title": "Segue"}}, lambda: limits, dict)

    async def app(self, scope, receive, send):
        body = (await receive())["body"] if scope.get("method") == "POST" else b""
        self.seen.append((scope["type"], body))
        self.passed_headers = scope.get("headers")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def ask(self, method, path="/events", body=(b"",), kinds=(b"application/json",), scope_type="http", length=None):
        return asyncio.run(self.call(method, path, body, kinds, scope_type, length))

    async def call(self, method, path, body, kinds, scope_type="http", length=None, client="10.0.0.1", blocked=None):
        parts = [{"type": "http.request", "body": part, "more_body": True} for part in body]
        parts[-1]["more_body"] = False
        sent = []

        async def receive():
            if blocked is not None:
                await blocked.wait()
            return parts.pop(0) if parts else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        sent_length = sum(map(len, body)) if length is None else length
        headers = [(b"content-length", b"%d" % sent_length), *((b"Content-Type", kind) for kind in kinds)]
        scope = {"type": scope_type, "method": method, "path": path, "headers": headers, "client": (client, 5)}
        await self.guard(scope, receive, send)
        return sent[0].get("status"), dict(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent[1:])


@pytest.fixture
def server():
    return Server()


def test_chunked_body_is_reassembled(server):
    assert server.ask("POST", body=(b"12345", b"", b"67890"))[::2] == (200, b"1234567890")


def test_oversized_body_is_rejected_early(server):
    status, headers, body = server.ask("POST", body=(b"123456", b"78901", b"never read"))
    assert (status, headers[b"content-type"], server.seen) == (413, b"application/problem+json", [])
    assert "larger than 10 bytes" in json.loads(body)["error"]


def test_body_declared_too_large_is_rejected_unread(server):
    status, _, body = server.ask("POST", body=(b"123456",), length=11)
    assert (status, server.seen) == (413, []) and "larger than 10 bytes" in json.loads(body)["error"]


@pytest.mark.parametrize("digit", [b"0", b"9"])
def test_long_content_length_is_rejected(server, digit):
    """Python's `int` raises an error for more than 4,300 digits."""
    scope = {"type": "http", "method": "POST", "path": "/events", "client": ("10.0.0.1", 5)}
    headers = [(b"content-type", b"application/json"), (b"content-length", digit * 4301)]
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(server.guard(scope | {"headers": headers}, None, send))
    assert sent[0]["status"] == 413 and "4301 characters" in json.loads(sent[1]["body"])["error"]


def test_late_body_is_rejected():
    server = Server(timeout_s=0)
    status, headers, body = asyncio.run(
        server.call("POST", "/events", (b"{}",), (b"application/json",), blocked=asyncio.Event())
    )
    assert (status, headers[b"connection"], server.seen) == (408, b"close", [])
    assert "did not arrive" in json.loads(body)["error"]


def test_client_with_too_many_unfinished_bodies_loses_its_oldest():
    async def scene():
        server, kinds = Server(max_incomplete=2), (b"application/json",)
        slow = [
            asyncio.create_task(server.call("POST", "/events", (b"{}",), kinds, client=client, blocked=asyncio.Event()))
            for client in ("10.0.0.2", *["10.0.0.1"] * 5)
        ]
        for _ in range(20):
            await asyncio.sleep(0)
        assert [task.done() for task in slow] == [False, True, True, True, False, False]
        assert [task.result()[0] for task in slow[1:4]] == [408] * 3
        quick = await server.call("POST", "/events", (b"{}",), kinds)
        assert quick[0] == 200
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert server.guard._bodies._deadlines == {}

    asyncio.run(scene())


def test_disconnected_client_does_not_reach_the_service(server):
    parts = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return parts.pop(0)

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    scope = {"type": "http", "method": "POST", "path": "/events", "headers": headers}
    asyncio.run(server.guard(scope, receive, send))
    assert server.seen == [] and sent[0]["status"] == 400


@pytest.mark.parametrize("kind", [b"text/plain", b"multipart/form-data; boundary=x", b"", b"application/jsonx"])
def test_other_content_types_are_rejected(server, kind):
    status, _, body = server.ask("POST", kinds=(kind,))
    assert (status, server.seen) == (415, [])
    assert json.loads(body)["error"].endswith("send application/json")


@pytest.mark.parametrize("kind", [b"\xff\xfe", b"application/json; charset=\xff"])
def test_content_type_outside_ascii_is_rejected(server, kind):
    status, _, body = server.ask("POST", kinds=(kind,))
    assert (status, server.seen) == (400, []) and "ASCII" in json.loads(body)["error"]


@pytest.mark.parametrize(
    "kinds",
    [
        (b"application/vnd.bentoml+pickle", b"application/json"),
        (b"application/json", b"application/vnd.bentoml+pickle"),
        (b"application/json", b"application/json"),
    ],
)
def test_several_content_types_are_rejected(server, kinds):
    status, _, body = server.ask("POST", kinds=kinds)
    assert (status, server.seen) == (400, []) and "2 headers Content-Type" in json.loads(body)["error"]


def test_body_without_content_type_is_rejected(server):
    status, _, body = server.ask("POST", body=(b"{}",), kinds=())
    assert (status, server.seen) == (415, [])
    assert json.loads(body)["error"] == "no content type; send Content-Type: application/json"
    assert server.ask("POST", kinds=())[0] == 200


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON; charset=utf-8"])
def test_json_passes_with_the_plain_content_type(server, kind):
    assert server.ask("POST", body=(b"{}",), kinds=(kind,))[::2] == (200, b"{}")
    assert [value for name, value in server.passed_headers if name == b"content-type"] == [b"application/json"]
    assert len(server.passed_headers) == 2


def test_other_requests_pass_unchanged(server):
    assert server.ask("GET", "/readyz", kinds=(b"text/plain",))[0] == 200
    assert server.ask("DELETE", "/")[0] == 200
    server.ask("POST", scope_type="lifespan")
    assert [kind for kind, _ in server.seen] == ["http", "http", "lifespan"]


def test_api_page_has_no_external_resources(server):
    status, headers, page = server.ask("GET", "/docs")
    assert status == 200 and headers[b"content-type"].startswith(b"text/html")
    loaded = re.findall(rb'(?:src|href|url)[=:]\s*"([^"]+)"', page)
    assert len(loaded) == 3 and all(one.startswith(b"./") for one in loaded)
    status, headers, document = server.ask("GET", "/openapi.json")
    assert (status, json.loads(document)) == (200, {"info": {"title": "Segue"}})
    assert server.ask("GET", "/docs.json")[2] == document
    assert int(headers[b"content-length"]) == len(document)
    assert server.ask("HEAD", "/docs")[::2] == (200, b"") == server.ask("HEAD", "/docs.json")[::2]
    assert server.seen == []


def test_description_is_built_once_and_the_status_each_time():
    server, built = Server(), []

    def document():
        built.append(len(built))
        return {"count": len(built)}

    server.guard = RequestGuard(server.app, document, lambda: BodyLimits(10, 60, 9), document)
    described = {server.ask("GET", path)[2] for path in ("/openapi.json", "/docs.json", "/openapi.json")}
    assert described == {b'{"count": 1}'}
    assert [server.ask("GET", "/status")[2] for _ in range(2)] == [b'{"count": 2}', b'{"count": 3}']
