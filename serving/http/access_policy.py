"""Access control: API keys, user tokens and a rate limit per client, checked before the body of a request is read.

With keys or tokens, every path except probes, metrics and the pages requires one. A key belongs to a trusted backend, which may
act for every user; a token belongs to one user, and opens the paths of users only. Without keys and tokens, only requests from
the same machine are answered, whatever address the server listens on, and only pages of this service and of allowed
origins. ASGI middleware outside everything that reads a request; independent of recommendations.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Send

from config.settings import DEFAULT_REQUESTS_PER_S, HttpSettings, is_loopback, load_settings
from serving.http.asgi import HttpMiddleware, client_address, set_client
from serving.http.cross_origin import describe_foreign_host, describe_foreign_origin
from serving.http.protocols.credentials import read_credential
from serving.http.user_tokens import AUTHENTICATED_USER, HAS_CREDENTIALS, USER_PATHS, USER_PREFIXES, UserTokens
from web.rate_limit import RateLimit

PUBLIC_PATHS = ("/livez", "/readyz", "/healthz", "/metrics", "/", "/docs", "/docs.json", "/openapi.json")
"""Paths that can be read without a key: probes, metrics, the listening page (not its API requests), and the API's page."""
PUBLIC_PREFIXES = ("/page/", "/static_content/")
NO_KEY, RATE_LIMITED, NOT_LOCAL = "no_key", "too_often", "not_local"
FOREIGN_HOST, FOREIGN_ORIGIN = "foreign_host", "foreign_origin"
NOT_FOR_USERS, OTHER_USER = "not_for_users", "other_user"
"""Why a request is rejected."""
NOT_LOCAL_MESSAGE = (
    "this service has no API keys and accepts requests on loopback (127.0.0.1, [::1]) only; call it there, or start it with "
    "SEGUE_API_KEYS or SEGUE_JWT_KEY_FILE"
)


NOT_FOR_USERS_MESSAGE = (
    f"user tokens are accepted for {', '.join((*USER_PATHS, *USER_PREFIXES))} only; use an API key for other paths"
)
MIN_KEY_LENGTH = 16


class ApiKeys:
    """The accepted API keys. An empty set accepts no key. Only hashes are stored, so that no log or traceback can reveal a key.

    Raises:
        ValueError: A key is too short to be secret, or cannot be sent in a header; the message does not contain it.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        all_keys = list(keys)
        for defect, wrong in (
            (f"has less than {MIN_KEY_LENGTH} characters", [len(key) < MIN_KEY_LENGTH for key in all_keys]),
            ("has characters outside printable ASCII", [not (key.isascii() and key.isprintable()) for key in all_keys]),
        ):
            if any(wrong):
                places = ", ".join(str(place) for place, is_wrong in enumerate(wrong, start=1) if is_wrong)
                raise ValueError(
                    f"API key {places} of {len(all_keys)} {defect}; generate each with "
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


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


@dataclass(frozen=True)
class Client:
    """An authenticated client: its name for limits, and the only user that it may name (None: every user)."""

    name: str
    user_id: str | None = None


@dataclass(frozen=True)
class AccessPolicy:
    """Accepted credentials and limits."""

    keys: ApiKeys  # API keys of backends
    rate_limit: RateLimit | None  # per client; None: unlimited
    allowed_origins: Collection[str] = ()  # origins whose pages need no credentials, if there are none
    tokens: UserTokens | None = None  # user tokens; None: not accepted

    @property
    def has_credentials(self) -> bool:
        """Whether requests must have a key or a token."""
        return bool(self.keys) or self.tokens is not None

    def identify(self, credential: str) -> Client | None:
        """The client with this API key or user token; None if it is neither."""
        if name := self.keys.identify_client(credential):
            return Client(name)
        user_id = self.tokens.read_user(credential) if self.tokens and credential else None
        # Hashed like a key: names of clients may be logged, user ids may not.
        return None if user_id is None else Client(f"user-{hashlib.sha256(user_id.encode()).hexdigest()[:16]}", user_id)


def load_rate_limit() -> RateLimit | None:
    """This worker's share in the rate limit of `SEGUE_REQUESTS_PER_S`; None for 0, the default on loopback.

    Raises:
        SettingError: The value is not a number, or out of range.
    """
    here, per_s = load_settings(), HttpSettings().requests_per_s
    if per_s is None:
        per_s = 0 if is_loopback(here.host) else DEFAULT_REQUESTS_PER_S
    return RateLimit(per_s / here.workers) if per_s else None


class AccessControl(HttpMiddleware):
    """Responds with 401, 403 and 429. A client is identified by its key or its user; without valid credentials, by its address.

    Args:
        app: The wrapped application.
        policy: Accepted credentials and limits.
        on_rejected: Called with the reason of each rejected request.
    """

    def __init__(self, app: ASGIApp, policy: AccessPolicy, on_rejected: Callable[[str], None]) -> None:
        super().__init__(app)
        self._policy, self._on_rejected = policy, on_rejected

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        policy, address = self._policy, client_address(scope)
        if not policy.has_credentials and (foreign := _describe_foreign_request(scope, policy.allowed_origins)):
            raise self._refuse(foreign[0], 403, foreign[1])
        path = scope["path"]
        if scope["method"] in ("GET", "HEAD") and (path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES)):
            await self._app(scope, receive, send)
            return
        # Requests with a wrong key count for the address, so key guessing is limited too.
        client = policy.identify(read_credential(scope)) if policy.has_credentials else Client(address)
        limit = policy.rate_limit
        wait_s = 0 if limit is None else limit.take(client.name if client else address)
        if wait_s:
            why = f"too many requests from this client; retry in {wait_s} s"
            raise self._refuse(RATE_LIMITED, 429, why, {"Retry-After": str(wait_s)})
        if client is None:
            what = "API key, or invalid or expired token" if policy.tokens else "API key"
            why = f"missing or unknown {what}; send the header Authorization: Bearer {'KEY or TOKEN' if policy.tokens else 'KEY'}"
            raise self._refuse(NO_KEY, 401, why, {"WWW-Authenticate": "Bearer"})
        if client.user_id is not None and not (path in USER_PATHS or path.startswith(USER_PREFIXES)):
            raise self._refuse(NOT_FOR_USERS, 403, NOT_FOR_USERS_MESSAGE)
        charge = () if limit is None else (functools.partial(limit.charge, client.name),)
        set_client(scope, client.name, *charge)
        before, had = AUTHENTICATED_USER.set(client.user_id), HAS_CREDENTIALS.set(policy.has_credentials)
        try:
            await self._app(scope, receive, send)
        finally:
            AUTHENTICATED_USER.reset(before)
            HAS_CREDENTIALS.reset(had)

    def _refuse(self, reason: str, status: int, why: str, headers: Mapping[str, str] | None = None) -> HTTPException:
        self._on_rejected(reason)
        return HTTPException(status, why, headers)


def _describe_foreign_request(scope: Message, allowed_origins: Collection[str]) -> tuple[str, str] | None:
    """The reason and the message if a service without keys rejects the request; None if it accepts it."""
    if not _is_local(scope.get("server")):
        return NOT_LOCAL, NOT_LOCAL_MESSAGE
    if why := describe_foreign_host(scope):
        return FOREIGN_HOST, why
    if why := describe_foreign_origin(scope, allowed_origins):
        return FOREIGN_ORIGIN, why
    return None


def _is_local(server: tuple[str, int | None] | None) -> bool:
    # A server without a port listens on a Unix socket.
    return server is None or server[1] is None or is_loopback(server[0])
