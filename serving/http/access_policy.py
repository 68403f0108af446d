"""Access control: API keys and a rate limit per client, checked before the body of a request is read.

With keys, every path except probes, metrics and the pages requires one. Without keys, only requests from the same machine are
answered, whatever address the server listens on. The outermost ASGI middleware; knows nothing about recommendations.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from config.settings import is_loopback
from serving.http.request_guard import JSON_MEDIA_TYPE, App, Message, Receive, Send, error_body, send_response

PUBLIC_PATHS = ("/livez", "/readyz", "/healthz", "/metrics", "/", "/docs", "/docs.json")
"""Paths that can be read without a key: probes, metrics, the listening page (not its API requests), and the API's page."""
PUBLIC_PREFIXES = ("/page/", "/static_content/")
NO_KEY, RATE_LIMITED, NOT_LOCAL = "no_key", "too_often", "not_local"
"""Why a request is rejected."""

BURST_S = 2
"""Burst size in seconds of the rate."""
MAX_CLIENTS = 10_000
MIN_KEY_LENGTH = 16


class ApiKeysRequired(RuntimeError):
    """The service would be open to other machines without API keys; the message names the remedy."""


class ApiKeys:
    """The accepted keys; an empty set accepts no key. Only their hashes are stored, so that no log or traceback reveals one.

    Raises:
        ValueError: A key is too short to be secret; the message does not contain it.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        all_keys = list(keys)
        short = [str(place) for place, key in enumerate(all_keys, start=1) if len(key) < MIN_KEY_LENGTH]
        if short:
            raise ValueError(
                f"API key {', '.join(short)} of {len(all_keys)} has less than {MIN_KEY_LENGTH} characters; generate each with "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
            )
        self._digests = [_digest(key) for key in all_keys]

    def __bool__(self) -> bool:
        """Whether there are any keys."""
        return bool(self._digests)

    def identify_client(self, key: str) -> str | None:
        """A client name derived from a valid key by hashing; None for a wrong key. Compares in constant time."""
        digest = _digest(key)
        found = [hmac.compare_digest(digest, one) for one in self._digests]
        return digest.hex()[:12] if any(found) else None


def check_host(host: str, keys: ApiKeys) -> None:
    """Check that the service may listen on this host.

    Raises:
        ApiKeysRequired: Other machines could reach the service, and it has no keys.
    """
    if not keys and not is_loopback(host):
        raise ApiKeysRequired(
            f"without API keys the service would be open to every machine that reaches {host}; set SEGUE_API_KEYS (separated by "
            "commas), SEGUE_API_KEYS_FILE (one key per line), or SEGUE_HOST=127.0.0.1"
        )


class RateLimit:
    """Allows `per_s` requests per second of each client on average, and bursts of `BURST_S` times as many.

    Token buckets are refilled at a constant rate, one token per request. Memory is bounded: the least recently used bucket is
    evicted, and a returning client starts with a full one. Called from a single event loop, so it has no lock.

    Args:
        per_s: Requests per second, above 0.
        max_clients: Maximum number of buckets.
        clock_s: Monotonic clock, seconds.
    """

    def __init__(
        self, per_s: float, max_clients: int = MAX_CLIENTS, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s, self._max_clients, self._clock_s = per_s, max_clients, clock_s
        self._full = max(1.0, per_s * BURST_S)
        # client → tokens, and the time of that count
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Number of clients with a bucket."""
        return len(self._buckets)

    def take(self, client: str) -> int:
        """Take a token; return 0, or the whole seconds until the client may retry."""
        now = self._clock_s()
        tokens, at = self._buckets.pop(client, (self._full, now))
        tokens = min(self._full, tokens + (now - at) * self._per_s)
        is_allowed = tokens >= 1
        self._buckets[client] = (tokens - is_allowed, now)
        if len(self._buckets) > self._max_clients:
            self._buckets.popitem(last=False)
        return 0 if is_allowed else math.ceil((1 - tokens) / self._per_s)


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


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


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
