"""Settings of the recommender's HTTP layer: limits of requests, allowed origins, and trusted proxies.

The reverse proxy in `deploy/nginx` has the same limits, and those of headers and slow clients; a test compares them.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass

from config.settings import SettingError, read_number


@dataclass(frozen=True)
class HttpSettings:
    """Limits of HTTP requests, and which browsers and proxies are trusted."""

    max_body_bytes: int = 1 << 20  # size of a body; more: 413
    body_timeout_s: int = 10  # time to send the body; then 408
    client_connections: int = 128  # unfinished bodies of one client; more: 408 for the oldest
    client_requests: int = 48  # requests of one client in progress or queued; more: 429
    allowed_origins: tuple[str, ...] = ()  # origins of other sites whose pages may call the API (CORS)
    trusted_proxies: tuple[str, ...] = ()  # addresses and networks of proxies whose X-Forwarded-For is trusted


def load_http_settings() -> HttpSettings:
    """Return the HTTP settings from `SEGUE_*` environment variables.

    Raises:
        SettingError: A number is out of range, an origin is not `scheme://host[:port]`, or a proxy is not an address.
    """
    return HttpSettings(
        max_body_bytes=read_number("SEGUE_MAX_BODY_BYTES", HttpSettings.max_body_bytes, 1 << 10, 1 << 30),
        body_timeout_s=read_number("SEGUE_BODY_TIMEOUT_S", HttpSettings.body_timeout_s, 1, 300),
        client_connections=read_number("SEGUE_CLIENT_CONNECTIONS", HttpSettings.client_connections, 1, 1_000_000),
        client_requests=read_number("SEGUE_CLIENT_REQUESTS", HttpSettings.client_requests, 1, 1_000_000),
        allowed_origins=tuple(map(_parse_origin, _list("SEGUE_ALLOWED_ORIGINS"))),
        trusted_proxies=tuple(map(_parse_network, _list("SEGUE_TRUSTED_PROXIES"))),
    )


def _list(name: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


def _parse_origin(text: str) -> str:
    if not re.fullmatch(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?", text, re.ASCII):
        raise SettingError(
            f"SEGUE_ALLOWED_ORIGINS has {text!r}, which is not an origin; write it in lower case like "
            "https://music.example.org or http://localhost:8090, without a path, separated by commas"
        )
    return text


def _parse_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text)) if "/" in text else str(ipaddress.ip_address(text))
    except ValueError as error:
        raise SettingError(
            f"SEGUE_TRUSTED_PROXIES has {text!r}, which is not an IP address or network ({error}); write it like 10.0.0.7 or "
            "10.0.0.0/24, separated by commas"
        ) from error
