"""How often each client may ask: a bucket of tokens a client, filled at a steady rate, one token a request.

In bounded memory: the bucket that was asked longest ago is forgotten first, and a client that comes back begins with a full
one. Knows nothing about HTTP; one event loop calls it, so it has no lock.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

BURST_S = 2
"""So many seconds' requests may come at once."""
MAX_CLIENTS = 10_000


class RateLimit:
    """`per_s` requests a second of each client in the long run, `BURST_S` times as many at once.

    Args:
        per_s: above 0.
        clients: so many buckets are remembered.
        now_s: a clock that does not go back.
    """

    def __init__(
        self, per_s: float, max_clients: int = MAX_CLIENTS, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s, self._max_clients, self._clock_s = per_s, max_clients, clock_s
        self._full = max(1.0, per_s * BURST_S)
        # client ▸ tokens, and when there were so many.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._buckets)

    def take(self, client: str) -> int:
        """0 if the client may ask now, else after how many whole seconds it may."""
        now = self._clock_s()
        tokens, at = self._buckets.pop(client, (self._full, now))
        tokens = min(self._full, tokens + (now - at) * self._per_s)
        may_ask = tokens >= 1
        self._buckets[client] = (tokens - may_ask, now)
        if len(self._buckets) > self._max_clients:
            self._buckets.popitem(last=False)
        return 0 if may_ask else math.ceil((1 - tokens) / self._per_s)
