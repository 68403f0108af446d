"""Access control: API keys and a rate limit per client, checked before the body of a request is read.

With keys, every path except probes, metrics and the pages requires one. Without keys, only requests from the same machine are
answered, whatever address the server listens on. The outermost ASGI middleware; knows nothing about recommendations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from config.settings import is_loopback
from serving.http.api_keys import ApiKeys
from serving.http.rate_limit import RateLimit
from serving.http.request_guard import JSON_MEDIA_TYPE, App, Message, Receive, Send, error_body, send_response

PUBLIC_PATHS = ("/livez", "/readyz", "/healthz", "/metrics", "/", "/docs", "/docs.json")
"""Paths that can be read without a key: probes, metrics, the listening page (not its API requests), and the API's page."""
PUBLIC_PREFIXES = ("/page/", "/static_content/")
NO_KEY, RATE_LIMITED, NOT_LOCAL = "no_key", "too_often", "not_local"
"""Why a request is rejected."""


@dataclass(frozen=True)
class AccessPolicy:
    """Accepted API keys, and the rate limit per client (None: unlimited)."""

    keys: ApiKeys
    rate_limit: RateLimit | None


class AccessControl:
    """Responds with 401, 403 and 429. A client is identified by its key; without a valid key, by its address.

    Args:
        app: The wrapped application.
        load_policy: Called at the first request, so that nothing is read from the environment at import.
        on_rejected: Called with the reason of each rejected request.
    """

    def __init__(self, app: App, load_policy: Callable[[], AccessPolicy], on_rejected: Callable[[str], None]) -> None:
        self._app, self._load_policy, self._on_rejected = app, load_policy, on_rejected
        self._policy: AccessPolicy | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if self._policy is None:
            self._policy = self._load_policy()
        if scope["type"] != "http" or _is_public(scope):
            await self._app(scope, receive, send)
            return
        keys, address = self._policy.keys, _host(scope.get("client"))
        if not keys and not _is_local(scope.get("server")):
            why = "this service has no API keys and accepts requests from its own machine only; start it with SEGUE_API_KEYS"
            await self._refuse(send, NOT_LOCAL, 403, why)
            return
        # Requests with a wrong key count for the address, so key guessing is limited too.
        client = keys.identify_client(_bearer_key(scope)) if keys else address
        limit = self._policy.rate_limit
        wait_s = 0 if limit is None else limit.take(client or address)
        if wait_s:
            why = f"too many requests from this client; retry in {wait_s} s"
            await self._refuse(send, RATE_LIMITED, 429, why, (b"retry-after", str(wait_s).encode()))
        elif client is None:
            why = "missing or unknown API key; send the header Authorization: Bearer KEY"
            await self._refuse(send, NO_KEY, 401, why, (b"www-authenticate", b"Bearer"))
        else:
            await self._app(scope, receive, send)

    async def _refuse(self, send: Send, reason: str, status: int, why: str, *more: tuple[bytes, bytes]) -> None:
        self._on_rejected(reason)
        await send_response(send, status, JSON_MEDIA_TYPE, error_body(why), more)


def _is_public(scope: Message) -> bool:
    path = scope["path"]
    return scope["method"] in ("GET", "HEAD") and (path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES))


def _bearer_key(scope: Message) -> str:
    """The API key of a request; "" without one."""
    given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    scheme, _, key = given.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _is_local(server: tuple[str, int | None] | None) -> bool:
    # A server without a port listens on a Unix socket.
    return server is None or server[1] is None or is_loopback(server[0])


def _host(client: tuple[str, int] | None) -> str:
    return client[0] if client else ""
