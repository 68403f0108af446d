"""Latency of reading all features of a user online: through Feast, and through Segue's reader next to one raw pipeline.

Users are `synthetic_users`, materialized, with a session of later events each. The raw pipeline fetches the same bytes
from the same server with the same client and decodes nothing. The reader builds lists and merges both parts lazily, so
it is measured both without and with all lists that models read (all but the ids and numbers that only order events).
The alternatives take turns. Results, p50 in ms:

    online_read, online_read_sqlite    `get_online_features` of the service `recommender`; must stay under 2
    online_read_reader                 Segue's reader against the raw pipeline: a ratio above 0.5 is within twice its
    time online_read_lists                  the same with the lists built
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import feast
from redis import Redis

from research.data import synthetic_users
from research.result import Result, result_with_limit
from sequences.online.materialize import materialize
from sequences.online.online_stores import user_key
from sequences.online.reader import FEATURE_SERVICE, OnlineReader
from sequences.sequence_views import SORT_KEY_ATTRIBUTES
from tests.support import valkey
from tests.support.sequences.feast_stores import sqlite_online_store
from tests.support.sequences.reported_events import reported_event

LIMIT_MS = 2.0
USERS = 20
SESSION_EVENTS = 5
UNREAD_ATTRIBUTES = {*SORT_KEY_ATTRIBUTES} - {"ended_at"}


def run(reads: int) -> list[Result]:
    """Return the medians over `reads` reads."""
    with tempfile.TemporaryDirectory() as name, valkey.running() as server:
        folder = Path(name)
        synthetic_users.write_events(folder, USERS)
        redis = _materialized_store(folder, valkey.online_store(server))
        client = Redis(host=server.host, port=server.port)
        hashes = [(key, client.hkeys(key)) for key in _redis_keys(redis)]
        reader = OnlineReader(redis)

        def raw(turn: int) -> None:
            with client.pipeline(transaction=False) as pipe:
                pipe.hmget(*hashes[turn % USERS])
                pipe.execute()

        def lists(turn: int) -> None:
            for attributes in reader.read(_user_id(turn)).views.values():
                for attribute, values in attributes.items():
                    if attribute not in UNREAD_ATTRIBUTES:
                        len(values)

        works = [_read_through_feast(redis), raw, lambda turn: reader.read(_user_id(turn)).views, lists]
        feasts_ms, raw_ms, ours_ms, lists_ms = _measure_medians(reads, works)
        sqlite = _materialized_store(folder, sqlite_online_store(folder))
        (sqlite_ms,) = _measure_medians(reads, [_read_through_feast(sqlite)])
    return [
        result_with_limit("online_read", "ms", feasts_ms, LIMIT_MS),
        result_with_limit("online_read_sqlite", "ms", sqlite_ms, LIMIT_MS),
        Result.from_values("online_read_reader", "ms", ours_ms, "one raw Redis pipeline", raw_ms, lower_is_better=True),
        Result.from_values("online_read_lists", "ms", lists_ms, "one raw Redis pipeline", raw_ms, lower_is_better=True),
    ]


def _materialized_store(folder: Path, online_store: dict[str, Any]) -> feast.FeatureStore:
    store = synthetic_users.build_segue_store(folder, online_store)
    materialize(store, synthetic_users.AS_OF, folder)
    began = int(time.time() * 1_000_000)
    times = [{"target_id": f"{n}", "occurred_at": began + n, "ended_at": began + n} for n in range(SESSION_EVENTS)]
    online: Any = store._get_provider().online_store
    for user in map(_user_id, range(USERS)):
        online.events.append([reported_event(f"{user}{n}", user, 0, **time) for n, time in enumerate(times)])
    return store


def _user_id(turn: int) -> str:
    return f"u{turn % USERS:06d}"


def _redis_keys(store: feast.FeatureStore) -> list[bytes]:
    online: Any = store._get_provider().online_store
    keys: list[bytes] = online._generate_redis_keys_for_entities(
        store.config, [user_key(_user_id(turn)) for turn in range(USERS)]
    )
    return keys


def _read_through_feast(store: feast.FeatureStore) -> Callable[[int], Any]:
    service = store.get_feature_service(FEATURE_SERVICE)
    return lambda turn: store.get_online_features(service, [{"user_id": _user_id(turn)}], full_feature_names=True)


def _measure_medians(count: int, works: Sequence[Callable[[int], Any]]) -> list[float]:
    """Return the p50 of each alternative in ms, measured in turns; the first tenth is warm-up."""
    seconds: list[list[float]] = [[] for _ in works]
    for turn in range(count + count // 10):
        for work, taken in zip(works, seconds, strict=True):
            began = time.perf_counter()
            work(turn)
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken[count // 10 :]) * 1000 for taken in seconds]
