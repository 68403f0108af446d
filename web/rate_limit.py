"""Rate limit per client: token buckets, refilled at a constant rate.

Memory is bounded: the least recently used bucket is evicted, and a returning client starts with a full one. Independent of HTTP.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import RLock

BURST_S = 2
"""Size of a bucket, in seconds of the rate, unless another is given."""
MAX_CLIENTS = 10_000


class RateLimit:
    """Allows `per_s` tokens per second of each client on average, and `burst` at once; thread-safe.

    Args:
        per_s: Tokens per second, above 0.
        burst: Size of a bucket; default: the requests of `BURST_S` seconds, at least 1.
        max_clients: Maximum number of buckets.
        clock_s: Monotonic clock, seconds.
    """

    def __init__(
        self,
        per_s: float,
        burst: float | None = None,
        max_clients: int = MAX_CLIENTS,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.per_s, self._max_clients, self._clock_s = per_s, max_clients, clock_s
        self._full = max(1.0, per_s * BURST_S) if burst is None else burst
        # client → tokens, and the time of that count
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = RLock()

    def __len__(self) -> int:
        """Number of clients with a bucket."""
        return len(self._buckets)

    def take(self, client: str) -> int:
        """Take a token and return 0, or return the whole seconds until the client may retry."""
        with self._lock:
            wait_s = self.wait_s(client)
            self.charge(client, 0 if wait_s else 1)
            return wait_s

    def wait_s(self, client: str) -> int:
        """Whole seconds until the client has a token; 0 if it has one."""
        return max(0, math.ceil((1 - self._count(client, self._clock_s())) / self.per_s))

    def charge(self, client: str, tokens: int) -> None:
        """Take tokens, also some that the client does not have: it then waits until they are paid."""
        with self._lock:
            now = self._clock_s()
            self._buckets[client] = self._count(client, now) - tokens, now
            self._buckets.move_to_end(client)
            if len(self._buckets) > self._max_clients:
                self._buckets.popitem(last=False)

    def _count(self, client: str, now: float) -> float:
        tokens, at = self._buckets.get(client, (self._full, now))
        return min(self._full, tokens + (now - at) * self.per_s)
