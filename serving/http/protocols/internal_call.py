"""Calls of the service's own API in this process, on behalf of a request of another protocol.

The call passes the same limits as one of a client: admission, body, validation. Authentication has happened outside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message

from serving.http.asgi import RETRY_AFTER, get_client


async def post_internally(app: ASGIApp, scope: Message, path: str, body: Mapping[str, Any] | bytes) -> dict[str, Any]:
    """The JSON response to a POST.

    Args:
        app: The application inside authentication.
        scope: The request of the client.
        path: Path of the API.
        body: Body of the POST.

    Raises:
        HTTPException: The response is an error.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = httpx.Request("POST", f"http://localhost{path}", content=content, headers=headers)
    response = await httpx.ASGITransport(app, client=(get_client(scope), 0)).handle_async_request(request)
    status, received = response.status_code, await response.aread()
    try:
        answer = json.loads(received)
    except ValueError:
        answer = {}
    if status != 200 or not isinstance(answer, dict):
        problem = answer if isinstance(answer, dict) else {}
        raise HTTPException(status, _detail(problem, status), RETRY_AFTER if status in (429, 503) else None)
    return answer


def _detail(problem: Mapping[str, Any], status: int) -> str:
    """The detail of a problem document, or of BentoML's list of validation errors."""
    detail = problem.get("detail")
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg', '')}" for one in detail[:5])
    return str(detail or problem.get("error") or f"status {status}")
