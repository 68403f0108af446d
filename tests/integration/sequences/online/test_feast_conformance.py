"""Conformance of the online stores with Feast, for sequence views and later events: SQLite and Redis, east and west of UTC.

Each case names the test of Feast's universal suite (`sdk/python/tests/universal/online_store/`) that it corresponds to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sequences.online.online_stores import online_store_of
from sequences.online.reader import OnlineReader
from sequences.sequence_views import SEQUENCE_VIEWS
from tests.support.sequences.event_rows import EPOCH, event_rows, write_events
from tests.support.sequences.online_stores import KINDS, opened
from tests.support.sequences.reported_events import reported_event

VIEWS = {name: SEQUENCE_VIEWS[name] for name in ("recent_events", "recent_negatives")}
START = EPOCH.replace(tzinfo=UTC)
ATTRIBUTES = [f"recent_events:{name}" for name in VIEWS["recent_events"].attribute_names]


@pytest.fixture(params=["Asia/Shanghai", "America/Los_Angeles"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(params=KINDS)
def store(zone: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with opened(request.param, tmp_path, VIEWS) as store:
        store.config.materialization_config.pull_latest_features = True
        events = [
            {"event_id": f"{user}{n}", "user_id": user, "second": 3600 * n, "sequence_number": n, "played_ratio": ratio}
            for user in "ab"
            for n, ratio in enumerate([0.5, None, 1.0])
        ]
        write_events(tmp_path / "events.parquet", event_rows(events))
        yield store


def read(store: Any, features: list[str], *users: str) -> dict[str, list[Any]]:
    result: dict[str, list[Any]] = store.get_online_features(features, [{"user_id": user} for user in users]).to_dict()
    return result


def test_online_features_equal_the_offline_features_at_the_end(store: Any) -> None:
    """`test_universal_e2e.py::test_e2e_consistency`."""
    end = START + timedelta(hours=1, seconds=1)
    store.materialize(START, end, feature_views=["recent_events"])
    rows = pd.DataFrame({"user_id": ["b", "a", "nobody"], "event_timestamp": [end] * 3})
    offline = store.get_historical_features(rows, ATTRIBUTES).to_arrow().to_pydict()
    online = read(store, ATTRIBUTES, "b", "a", "nobody")
    for attribute in VIEWS["recent_events"].attribute_names:
        assert repr(online[attribute]) == repr(offline[attribute]), attribute
    assert online["event_id"] == [["b0", "b1"], ["a0", "a1"], []]


def test_materialize_incremental(store: Any) -> None:
    """`test_universal_materialization.py`, without a list of views: every online view is materialized."""
    store.materialize(START, START + timedelta(hours=1, seconds=1))
    assert read(store, ["recent_events:event_id"], "a")["event_id"] == [["a0", "a1"]]
    store.materialize_incremental(START + timedelta(hours=9))
    assert read(store, ["recent_events:event_id"], "a")["event_id"] == [["a0", "a1", "a2"]]


def test_later_events_are_merged(store: Any) -> None:
    """`test_push_features_to_online_store.py::test_push_features_and_read`; one event comes late, one is materialized, too."""
    store.materialize(START, START + timedelta(hours=9), feature_views=list(VIEWS))
    reported = [
        ("new", 9 * 3600, 33_333),
        ("late", 1800, 95_000),
        ("a1", 3600, 95_000),
        ("skipped", 9 * 3600 + 1, 1_000),
    ]
    store._get_provider().online_store.events.append(
        [reported_event(name, "a", second, played_ms=played) for name, second, played in reported]
    )
    found = read(store, ["recent_events:event_id", "recent_events:played_ratio"], "a", "b")
    assert found["event_id"] == [["a0", "late", "a1", "a2", "new", "skipped"], ["b0", "b1", "b2"]]
    assert found["played_ratio"][0][4] == pytest.approx(0.33333, rel=1e-6)
    names = [f"{view.name}:{name}" for view in VIEWS.values() for name in view.attribute_names]
    found = store.get_online_features(names, [{"user_id": "a"}], full_feature_names=True).to_dict()
    expected = OnlineReader(store, views=VIEWS).read("a").views
    for name, view in VIEWS.items():
        lists = {attribute: list(expected[name][attribute]) for attribute in view.attribute_names}
        assert repr(lists) == repr({one: found[f"{name}__{one}"][0] for one in lists})  # repr: NaN equals itself
    if online_store_of(store).kind == "redis":  # Feast's SQLite store cannot read asynchronously
        read_async = store.get_online_features_async(["recent_negatives:event_id"], [{"user_id": "a"}])
        assert asyncio.run(read_async).to_dict()["event_id"] == [["skipped"]]


def test_teardown_removes_the_rows(store: Any) -> None:
    """`test_universal_online.py::test_online_store_cleanup`."""
    store.materialize(START, START + timedelta(hours=9), feature_views=["recent_events"])
    view = store.get_feature_view("recent_events")
    online = store._get_provider().online_store
    online.teardown(store.config, [view], [store.get_entity("user")])
    online.update(store.config, [], [view], [], [store.get_entity("user")], partial=False)
    assert read(store, ["recent_events:event_id"], "a")["event_id"] == [[]]
