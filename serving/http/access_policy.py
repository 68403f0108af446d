"""Who may ask, and how often: API keys and a limit to each client's rate, before anything of a request is read.

With keys every path asks for one but those for probes, Prometheus and the API's page. Without keys only this machine is
answered, whatever address the server listens on. ASGI middleware, the outermost; knows nothing about recommendations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from config.settings import is_loopback
from serving.http.api_keys import ApiKeys
from serving.http.rate_limit import RateLimit
from serving.http.request_guard import JSON_MEDIA_TYPE, App, Message, Receive, Send, error_body, send_response

PUBLIC_PATHS = ("/livez", "/readyz", "/healthz", "/metrics", "/", "/docs", "/docs.json")
"""Answered without a key, where they are only read: probes, Prometheus, the listening page (not what it asks for), the
API's page and its description."""
PUBLIC_PREFIXES = ("/page/", "/static_content/")
NO_KEY, RATE_LIMITED, NOT_LOCAL = "no_key", "too_often", "not_local"
"""Why a request is turned away."""


@dataclass(frozen=True)
class AccessPolicy:
    """The keys that open it, and how often a client may come (None: as often as it likes)."""

    keys: ApiKeys
    rate_limit: RateLimit | None


class AccessControl:
    """Answers 401, 403 and 429 itself. A client is whoever shows a key; without keys, or with a wrong one, an address.

    Args:
        door: asked for at the first request, so that nothing is read from the environment at import.
        turned_away: called with the reason for each request that is turned away.
    """

    def __init__(self, app: App, load_policy: Callable[[], AccessPolicy], on_rejected: Callable[[str], None]) -> None:
        self._app, self._load_policy, self._on_rejected = app, load_policy, on_rejected
        self._policy: AccessPolicy | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if self._policy is None:
            self._policy = self._load_policy()
        if scope["type"] != "http" or _is_public(scope):
            await self._app(scope, receive, send)
            return
        keys, address = self._policy.keys, _host(scope.get("client"))
        if not keys and not _is_local(scope.get("server")):
            why = "this service has no API keys and answers only its own machine; start it with SEGUE_API_KEYS"
            await self._refuse(send, NOT_LOCAL, 403, why)
            return
        # A wrong key is counted by the address: guessing is limited as well.
        client = keys.identify_client(_bearer_key(scope)) if keys else address
        limit = self._policy.rate_limit
        wait_s = 0 if limit is None else limit.take(client or address)
        if wait_s:
            why = f"too many requests from one client; ask again in {wait_s} s"
            await self._refuse(send, RATE_LIMITED, 429, why, (b"retry-after", str(wait_s).encode()))
        elif client is None:
            why = "no API key, or none of ours; send the header Authorization: Bearer KEY"
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
    """The key that a request shows, "" where it shows none."""
    given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    scheme, _, key = given.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _is_local(server: tuple[str, int | None] | None) -> bool:
    # A server without a port listens on a socket of the file system.
    return server is None or server[1] is None or is_loopback(server[0])


def _host(client: tuple[str, int] | None) -> str:
    return client[0] if client else ""
