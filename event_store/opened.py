"""The stores of an installation, as its settings say: SQLite files in `SEGUE_HOME/serving` on one machine, a Redis server on several."""

from __future__ import annotations

import time
from collections.abc import Callable

from config.settings import Settings
from event_store.sqlite_stores import SqliteEventStore, SqliteServingState
from event_store.store import EventStore, ServingState


def now_us() -> int:
    """Current time, µs since 1970, UTC."""
    return time.time_ns() // 1000


def open_event_store(settings: Settings, clock: Callable[[], int] = now_us) -> EventStore:
    """The store of events.

    Raises:
        StoreUnavailable: It cannot be opened.
    """
    if settings.event_store:
        from event_store.redis_stores import RedisEventStore  # optional dependency

        return RedisEventStore(settings.event_store, clock)
    return SqliteEventStore(settings.home / "serving", clock)


def open_serving_state(settings: Settings, clock: Callable[[], int] = now_us) -> ServingState:
    """The store of what the workers of the recommender share.

    Raises:
        StoreUnavailable: It cannot be opened.
    """
    if settings.event_store:
        from event_store.redis_stores import RedisServingState  # optional dependency

        return RedisServingState(settings.event_store, clock)
    return SqliteServingState(settings.home / "serving", clock)
