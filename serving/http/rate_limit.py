"""Rate limit per client: token buckets, refilled at a constant rate, one token per request.

Memory is bounded: the least recently used bucket is evicted, and a returning client starts with a full one.
Independent of HTTP; called from a single event loop, so it has no lock.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from config.settings import is_loopback, load_settings, read_number

DEFAULT_REQUESTS_PER_S = 100
"""Requests per second of each client if the service listens on an address that other machines can reach."""
BURST_S = 2
"""Burst size in seconds of the rate."""
MAX_CLIENTS = 10_000


class RateLimit:
    """Allows `per_s` requests per second of each client on average, and bursts of `BURST_S` times as many.

    Args:
        per_s: Requests per second, above 0.
        max_clients: Maximum number of buckets.
        clock_s: Monotonic clock, seconds.
    """

    def __init__(
        self, per_s: float, max_clients: int = MAX_CLIENTS, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_s, self._max_clients, self._clock_s = per_s, max_clients, clock_s
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
        tokens = min(self._full, tokens + (now - at) * self.per_s)
        is_allowed = tokens >= 1
        self._buckets[client] = (tokens - is_allowed, now)
        if len(self._buckets) > self._max_clients:
            self._buckets.popitem(last=False)
        return 0 if is_allowed else math.ceil((1 - tokens) / self.per_s)


def load_rate_limit() -> RateLimit | None:
    """The rate limit of `SEGUE_REQUESTS_PER_S`; None for 0, the default on loopback.

    Raises:
        SettingError: The value is not a number, or out of range.
    """
    default = 0 if is_loopback(load_settings().host) else DEFAULT_REQUESTS_PER_S
    per_s = read_number("SEGUE_REQUESTS_PER_S", default, 0, 1_000_000)
    return RateLimit(per_s) if per_s else None
