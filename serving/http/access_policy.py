"""Access control: API keys and a rate limit per client, checked before the body of a request is read.

With keys, every path except probes, metrics and the pages requires one. Without keys, only requests from the same machine are
answered, whatever address the server listens on, and of pages only those of this service and of allowed origins. ASGI
middleware outside everything that reads a request; knows nothing about recommendations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from config.settings import is_loopback
from serving.http.api_keys import ApiKeys
from serving.http.asgi import App, Message, Receive, Send, client_address, header_values, send_error, set_client
from serving.http.cross_origin import describe_foreign_host, describe_foreign_origin
from serving.http.rate_limit import RateLimit

PUBLIC_PATHS = ("/livez", "/readyz", "/healthz", "/metrics", "/", "/docs", "/docs.json")
"""Paths that can be read without a key: probes, metrics, the listening page (not its API requests), and the API's page."""
PUBLIC_PREFIXES = ("/page/", "/static_content/")
NO_KEY, RATE_LIMITED, NOT_LOCAL = "no_key", "too_often", "not_local"
FOREIGN_HOST, FOREIGN_ORIGIN = "foreign_host", "foreign_origin"
"""Why a request is rejected."""
NOT_LOCAL_MESSAGE = (
    "this service has no API keys and accepts requests from its own machine only; start it with SEGUE_API_KEYS"
)


@dataclass(frozen=True)
class AccessPolicy:
    """Accepted API keys, the rate limit per client (None: unlimited), and origins whose pages need no key."""

    keys: ApiKeys
    rate_limit: RateLimit | None
    allowed_origins: Collection[str] = ()


class AccessControl:
    """Responds with 401, 403 and 429. A client is identified by its key; without a valid key, by its address.

    Args:
        app: The wrapped application.
        load_policy: Called when the server starts, so that nothing is read from the environment at import.
        on_rejected: Called with the reason of each rejected request.
    """

    def __init__(self, app: App, load_policy: Callable[[], AccessPolicy], on_rejected: Callable[[str], None]) -> None:
        self._app, self._policy, self._on_rejected = app, load_policy(), on_rejected

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        keys, address = self._policy.keys, client_address(scope)
        if not keys and (foreign := _describe_foreign_request(scope, self._policy.allowed_origins)):
            await self._refuse(send, foreign[0], 403, foreign[1])
            return
        if _is_public(scope):
            await self._app(scope, receive, send)
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
            set_client(scope, client)
            await self._app(scope, receive, send)

    async def _refuse(self, send: Send, reason: str, status: int, why: str, *more: tuple[bytes, bytes]) -> None:
        self._on_rejected(reason)
        await send_error(send, status, why, *more)


def _describe_foreign_request(scope: Message, allowed_origins: Collection[str]) -> tuple[str, str] | None:
    """The reason and the message if a service without keys rejects the request; None if it accepts it."""
    if not _is_local(scope.get("server")):
        return NOT_LOCAL, NOT_LOCAL_MESSAGE
    if why := describe_foreign_host(scope):
        return FOREIGN_HOST, why
    if why := describe_foreign_origin(scope, allowed_origins):
        return FOREIGN_ORIGIN, why
    return None


def _is_public(scope: Message) -> bool:
    path = scope["path"]
    return scope["method"] in ("GET", "HEAD") and (path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES))


def _bearer_key(scope: Message) -> str:
    """The API key of a request; "" without one, or with several."""
    given = header_values(scope, b"authorization")
    scheme, _, key = given[0].decode("latin-1").partition(" ") if len(given) == 1 else ("", "", "")
    return key.strip() if scheme.lower() == "bearer" else ""


def _is_local(server: tuple[str, int | None] | None) -> bool:
    # A server without a port listens on a Unix socket.
    return server is None or server[1] is None or is_loopback(server[0])
