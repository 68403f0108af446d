"""Requests to an ASGI app, and its responses, without a server."""

import asyncio
from typing import Any

from serving.http.problems import CatchAll


async def call(app, scope: dict[str, Any], *parts: bytes, until: asyncio.Event | None = None):
    """Status, headers and body of the response to a request whose body arrives in `parts`, after which the client disconnects.

    `until`: nothing of the body arrives before.
    """
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if messages:
        messages[-1]["more_body"] = False
    sent = []

    async def receive():
        if until is not None:
            await until.wait()
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await CatchAll(app)({"type": "http", "query_string": b"", "headers": []} | scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


async def respond(send, body: bytes = b"") -> None:
    """Send a response without an error."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
