"""Pages of other sites: the checks by which a service without API keys accepts allowed origins only.

A browser sends requests of any page to this machine (cross-site request forgery, CSRF), and a site can point its own name at
127.0.0.1 (DNS rebinding). Without keys nothing else distinguishes such a request from one of the listening page.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Message

from config.settings import is_loopback_authority

NAMELESS_PAGE = (
    "a page of another site may not call this service without a header Origin; call it by fetch from an origin in "
    "SEGUE_ALLOWED_ORIGINS"
)


def describe_foreign_host(scope: Message) -> str | None:
    """Why the `Host` header does not name this machine; None if it does."""
    # Starlette's TrustedHostMiddleware reads the first of several headers only, and cannot allow all of 127.0.0.0/8.
    hosts = Headers(scope=scope).getlist("host")
    if len(hosts) == 1 and is_loopback_authority(hosts[0]):
        return None
    shown = ", ".join(repr(host[:80]) for host in hosts) or "missing"
    return (
        f"header Host is {shown}; without API keys this service answers to localhost and 127.0.0.1 only; call it by one of "
        "these, or start it with SEGUE_API_KEYS"
    )


def describe_foreign_origin(scope: Message, allowed_origins: Collection[str]) -> str | None:
    """Why the page that sent a request may not send it; None if it may, or if no page sent it."""
    origins = Headers(scope=scope).getlist("origin")
    if not origins:
        return NAMELESS_PAGE if scope["method"] not in ("GET", "HEAD") and is_of_foreign_page(scope) else None
    origin = origins[0]
    hosts = [host.lower() for host in Headers(scope=scope).getlist("host")]
    if len(origins) == 1 and (origin in allowed_origins or [_authority(origin)] == hosts):
        return None
    return f"a page of {origin[:80]!r} may not call this service; add its origin to SEGUE_ALLOWED_ORIGINS to allow it"


def is_of_foreign_page(scope: Message) -> bool:
    """Whether a browser sends the request for a page of another site without naming its origin, as for an image."""
    sites = Headers(scope=scope).getlist("sec-fetch-site")
    return any(site in ("cross-site", "same-site") for site in sites) and not Headers(scope=scope).getlist("origin")


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # an invalid IPv6 address
        return ""
