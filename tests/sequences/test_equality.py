"""Offline, dense, online and the oracle give the same sequences, on random histories and on live arrivals in any order."""

from __future__ import annotations

import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequences import behaviours
from sequences.batch import encode
from sequences.definition import SEQUENCE_VIEWS, SequenceView
from sequences.dense import DenseReader
from sequences.materialize import materialize
from sequences.online import OnlineReader, OnlineWriter
from tests.sequences.conftest import event_rows, oracle_values, us, write_events
from tests.sequences.store_fixture import sqlite_store

VIEWS = {name: replace(view, length=min(view.length, 4)) for name, view in SEQUENCE_VIEWS.items()}
ENCODERS = {
    "track_id": {f"t{n}": n + 2 for n in range(4)},
    "behaviour": behaviours.load().encoder,
    "target_type": {"track": 2, "artist": 3},
}
DURATION_MS = 100_000
DAY = 86_400

event = st.builds(
    lambda user, second, number, action, played_ms, target_type, target, scene: {
        "user_id": user,
        "second": second,
        "sequence_number": number,
        "action": action,
        "played_ms": played_ms if action == "play" else None,
        "target_type": target_type if action in ("click", "block") else "track",
        "target_id": target,
        "scene": scene,
    },
    user=st.sampled_from(["u1", "u2", "u3"]),
    second=st.integers(0, 6).map(lambda n: n * 60),
    number=st.integers(0, 3),
    action=st.sampled_from(["play", "play", "play", "click", "like", "dislike", "block"]),
    played_ms=st.sampled_from([1_000, 50_000, 95_000, 150_000]),
    target_type=st.sampled_from(["track", "artist"]),
    target=st.sampled_from(["t0", "t1", "t2", "new"]),
    scene=st.sampled_from([None, "daily"]),
)
histories = st.lists(event, min_size=1, max_size=25)


def with_behaviours(events: list[dict[str, Any]], first: int = 0) -> list[dict[str, Any]]:
    """The events with ids, and what dbt derives of them."""
    for n, one in enumerate(events, start=first):
        one["event_id"] = f"e{(n * 7919) % 997:03d}"
        duration = DURATION_MS if one["action"] == "play" else None
        one["behaviour"] = behaviours.behaviour_of(one["action"], one["played_ms"], duration)
        ratio = behaviours.played_ratio(one["played_ms"], duration)
        one["played_ratio"] = None if ratio is None else float(np.float32(ratio))
    return events


def contract_row(one: dict[str, Any]) -> dict[str, Any]:
    keep = ("event_id", "user_id", "sequence_number", "action", "played_ms", "target_type", "target_id", "scene")
    return {**{name: one[name] for name in keep}, "occurred_at": us(one["second"]), "ended_at": us(one["second"])}


def same(left: dict[str, list[Any]], right: dict[str, list[Any]]) -> None:
    assert left.keys() == right.keys()
    for name, values in left.items():
        assert len(values) == len(right[name]), name
        for a, b in zip(values, right[name], strict=True):
            both_unknown = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
            assert both_unknown or a == b, (name, values, right[name])


def offline(store: Any, view: SequenceView, asked: list[tuple[str, int]]) -> list[dict[str, list[Any]]]:
    frame = pd.DataFrame(
        {
            "user_id": [user for user, _ in asked],
            "event_timestamp": pd.to_datetime([time for _, time in asked], unit="us", utc=True),
        }
    )
    table = store.get_historical_features(frame, [f"{view.name}:{name}" for name in view.attribute_names]).to_arrow()
    assert table["user_id"].to_pylist() == frame["user_id"].tolist()
    return [{name: row[name] for name in view.attribute_names} for row in table.to_pylist()]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories)
def test_offline_dense_and_materialised_equal_the_oracle(history: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = event_rows(with_behaviours(history))
        events = write_events(folder / "events.parquet", rows)
        store = sqlite_store(folder, VIEWS)
        asked = [(u, us(s) + extra) for s in (420, 0, 120, 60, 120) for u in ("u2", "u1", "nobody") for extra in (0, 1)]
        for view in VIEWS.values():
            expected = [oracle_values(rows, view, user, time) for user, time in asked]
            for got, want in zip(offline(store, view, asked), expected, strict=True):
                same(got, want)
            read = DenseReader(events, view, ENCODERS).read([u for u, _ in asked], [t for _, t in asked])
            encoded = encode(view, expected, ENCODERS)
            assert read.columns.keys() == encoded.columns.keys()
            np.testing.assert_array_equal(read.length_B, encoded.length_B)
            for column in read.columns:
                np.testing.assert_array_equal(read.columns[column], encoded.columns[column], err_msg=column)
        materialize(store, date(2024, 1, 2), folder, folder / "progress.json", tuple(VIEWS.values()))
        reader = OnlineReader(store, VIEWS)
        for user in ("u1", "u2", "u3", "nobody"):
            found = reader.read(user)
            for view in VIEWS.values():
                same(found[view.name], oracle_values(rows, view, user, us(DAY)))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories, arrivals=histories, data=st.data())
def test_live_arrivals_in_any_order_end_as_the_event_table_would(
    history: list[dict[str, Any]], arrivals: list[dict[str, Any]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        batch = with_behaviours(history)
        # Half a minute off: late arrivals fall between batch events, and tie among themselves only.
        live = with_behaviours(arrivals, first=len(batch))
        for one in live:
            one["second"] += 30
        write_events(folder / "events.parquet", event_rows(batch))
        store = sqlite_store(folder, VIEWS)
        materialize(store, date(2024, 1, 2), folder, folder / "progress.json", tuple(VIEWS.values()))
        again = data.draw(st.lists(st.sampled_from([*live, *batch]), max_size=5))
        writer = OnlineWriter(store, lambda _: DURATION_MS, VIEWS)
        for one in data.draw(st.permutations([*live, *again])):
            writer.apply(one["user_id"], [contract_row(one)])
        rows = event_rows([*batch, *live])
        reader = OnlineReader(store, VIEWS)
        for user in ("u1", "u2", "u3"):
            found = reader.read(user)
            for view in VIEWS.values():
                same(found[view.name], oracle_values(rows, view, user, us(DAY)))


@pytest.fixture
def store(tmp_path: Path) -> Any:
    write_events(tmp_path / "events.parquet", [])
    return sqlite_store(tmp_path, SEQUENCE_VIEWS)


def play(n: int) -> dict[str, Any]:
    return contract_row(
        {
            "event_id": f"p{n:04d}",
            "user_id": "u1",
            "sequence_number": n,
            "action": "play",
            "played_ms": 95_000,
            "target_type": "track",
            "target_id": f"t{n}",
            "scene": None,
            "second": n % 17,
        }
    )


def test_fifty_threads_writing_for_one_user_lose_nothing(store: Any) -> None:
    writer = OnlineWriter(store, lambda _: DURATION_MS)
    with ThreadPoolExecutor(50) as threads:
        applied = list(threads.map(lambda n: writer.apply("u1", [play(n)]), range(300)))
    assert applied == [1] * 300
    history = OnlineReader(store).read("u1")["listened_history"]
    expected = sorted((play(n) for n in range(300)), key=lambda e: (e["ended_at"], e["sequence_number"], e["event_id"]))
    assert history["event_id"] == [event["event_id"] for event in expected]


def test_a_duplicate_changes_nothing_and_is_counted_so(store: Any) -> None:
    writer = OnlineWriter(store, lambda _: DURATION_MS)
    assert writer.apply("u1", [play(1), play(2)]) == 2
    before = OnlineReader(store).read("u1")
    assert writer.apply("u1", [play(2)]) == 0
    assert OnlineReader(store).read("u1") == before


def test_apply_time_rises_although_event_times_fall_and_clocks_go_back(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[datetime] = []
    provider = store._get_provider()
    write = provider.online_write_batch

    def recording(config: Any, view: Any, data: Any, progress: Any) -> None:
        times.append(data[0][2])
        write(config, view, data, progress)

    monkeypatch.setattr(provider, "online_write_batch", recording)
    writer = OnlineWriter(store, lambda _: DURATION_MS)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for n, seconds in ((9, 0), (8, 5), (7, 3)):  # the third write finds the clock set back
        with mock.patch("sequences.online.datetime") as clock:
            clock.now.return_value = now + timedelta(seconds=seconds)
            writer.apply("u1", [play(n)])
    assert times == sorted(set(times))


def test_a_bad_row_applies_nothing_of_its_call(store: Any) -> None:
    writer = OnlineWriter(store, lambda _: DURATION_MS)
    with pytest.raises(behaviours.BehaviourError):
        writer.apply("u1", [play(1), {**play(2), "action": "hum"}])
    assert OnlineReader(store).read("u1")["recent_events"]["event_id"] == []
