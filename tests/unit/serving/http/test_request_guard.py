"""Request guard: rejected and accepted requests, and the API page."""

import asyncio
import json
import re

import pytest

from serving.http.request_guard import RequestGuard


class Server:
    """Calls a guard like an ASGI server; `app` echoes the body."""

    def __init__(self, most_bytes=10):
        self.seen = []
        self.guard = RequestGuard(self.app, description=lambda: {"info": {"title": "Segue"}}, max_body_bytes=most_bytes)

    async def app(self, scope, receive, send):
        body = (await receive())["body"] if scope.get("method") == "POST" else b""
        self.seen.append((scope["type"], body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def ask(self, method, path="/events", body=(b"",), kind=b"application/json", scope_type="http"):
        parts = [{"type": "http.request", "body": part, "more_body": True} for part in body]
        parts[-1]["more_body"] = False
        sent = []

        async def receive():
            return parts.pop(0) if parts else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        headers = [] if kind is None else [(b"content-type", kind)]
        scope = {"type": scope_type, "method": method, "path": path, "headers": headers}
        asyncio.run(self.guard(scope, receive, send))
        return sent[0].get("status"), dict(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent[1:])


@pytest.fixture
def server():
    return Server()


def test_chunked_body_is_reassembled(server):
    assert server.ask("POST", body=(b"12345", b"", b"67890"))[::2] == (200, b"1234567890")


def test_oversized_body_is_rejected_early(server):
    status, headers, body = server.ask("POST", body=(b"123456", b"78901", b"never read"))
    assert (status, headers[b"content-type"], server.seen) == (413, b"application/json", [])
    assert "larger than 10 bytes" in json.loads(body)["error"]


@pytest.mark.parametrize("kind", [b"text/plain", b"multipart/form-data; boundary=x", b"", b"\xff\xfe"])
def test_other_content_types_are_rejected(server, kind):
    status, _, body = server.ask("POST", kind=kind)
    assert (status, server.seen) == (415, [])
    assert json.loads(body)["error"].endswith("send application/json")


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON; charset=utf-8", None])
def test_json_content_type_variants_pass(server, kind):
    assert server.ask("POST", body=(b"{}",), kind=kind)[::2] == (200, b"{}")


def test_other_requests_pass_unchanged(server):
    assert server.ask("GET", "/readyz", kind=b"text/plain")[0] == 200
    assert server.ask("DELETE", "/")[0] == 200
    server.ask("POST", scope_type="lifespan")
    assert [kind for kind, _ in server.seen] == ["http", "http", "lifespan"]


def test_api_page_has_no_external_resources(server):
    status, headers, page = server.ask("GET", "/docs")
    assert status == 200 and headers[b"content-type"].startswith(b"text/html")
    loaded = re.findall(rb'(?:src|href|url)[=:]\s*"([^"]+)"', page)
    assert len(loaded) == 3 and all(one.startswith(b"./") for one in loaded)
    status, headers, document = server.ask("GET", "/docs.json")
    assert (status, json.loads(document)) == (200, {"info": {"title": "Segue"}})
    assert int(headers[b"content-length"]) == len(document)
    assert server.ask("HEAD", "/docs")[::2] == (200, b"") == server.ask("HEAD", "/docs.json")[::2]
    assert server.seen == []
