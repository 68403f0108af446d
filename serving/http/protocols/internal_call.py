"""Calls of the service's own API in this process, on behalf of a request of another protocol.

The call passes the same limits as one of a client: admission, body, validation. Authentication has happened outside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from serving.http.asgi import JSON_MEDIA_TYPE, RETRY_AFTER, App, HttpError, Message

BODY_HEADERS = (b"content-type", b"content-length", b"transfer-encoding", b"accept", b"range", b"if-none-match")


class InternalApi:
    """The API as the client of one request may use it.

    Args:
        app: The application inside authentication.
        scope: The request of the client.
    """

    def __init__(self, app: App, scope: Message) -> None:
        self._app, self._scope = app, scope

    async def post(self, path: str, body: Mapping[str, Any] | bytes) -> dict[str, Any]:
        """The JSON response to a POST.

        Raises:
            HttpError: The response is an error.
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kept = [(name, value) for name, value in self._scope["headers"] if name not in BODY_HEADERS]
        headers = [*kept, (b"content-type", JSON_MEDIA_TYPE), (b"content-length", str(len(content)).encode())]
        scope = {**self._scope, "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        waiting, status, received = [content], 500, bytearray()

        async def receive() -> Message:
            return {"type": "http.request", "body": waiting.pop() if waiting else b"", "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                received.extend(message.get("body", b""))

        await self._app({**scope, "headers": headers}, receive, send)
        try:
            answer = json.loads(bytes(received))
        except ValueError:
            answer = {}
        if status != 200 or not isinstance(answer, dict):
            problem = answer if isinstance(answer, dict) else {}
            raise HttpError(status, _detail(problem, status), *([RETRY_AFTER] if status in (429, 503) else []))
        return answer


def _detail(problem: Mapping[str, Any], status: int) -> str:
    """The detail of a problem document, or of BentoML's list of validation errors."""
    detail = problem.get("detail")
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg', '')}" for one in detail[:5])
    return str(detail or problem.get("error") or f"status {status}")
