"""Rate limit of the service's clients: one token per request."""

from __future__ import annotations

from config.settings import is_loopback, load_settings, read_number
from web.rate_limit import RateLimit

DEFAULT_REQUESTS_PER_S = 100
"""Requests per second of each client if the service listens on an address that other machines can reach."""


def load_rate_limit() -> RateLimit | None:
    """The rate limit of `SEGUE_REQUESTS_PER_S`; None for 0, the default on loopback.

    Raises:
        SettingError: The value is not a number, or out of range.
    """
    default = 0 if is_loopback(load_settings().host) else DEFAULT_REQUESTS_PER_S
    per_s = read_number("SEGUE_REQUESTS_PER_S", default, 0, 1_000_000)
    return RateLimit(per_s) if per_s else None
