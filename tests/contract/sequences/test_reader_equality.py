"""Offline store, dense reader and online reader equal the oracle, on random histories and live events in any order."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from sequences import behaviours
from sequences.offline.dense_reader import DenseReader
from sequences.online.materialize import materialize
from sequences.online.reader_writer import OnlineReader, OnlineWriter
from sequences.sequence_batch import encode
from sequences.views import SEQUENCE_VIEWS, SequenceView
from tests.support.sequences.event_rows import event_rows, oracle_values, us, write_events
from tests.support.sequences.feast_stores import USER, feature_view, sqlite_store
from tests.support.sequences.random_histories import (
    DAY,
    DURATION_MS,
    ENCODERS,
    USERS,
    contract_row,
    examples,
    histories,
    query_times,
    views,
)

VIEWS = {name: replace(view, length=min(view.length, 4)) for name, view in SEQUENCE_VIEWS.items()}


def assert_equal_lists(left: dict[str, list[Any]], right: dict[str, list[Any]]) -> None:
    assert left.keys() == right.keys()
    for name, values in left.items():
        assert len(values) == len(right[name]), name
        for a, b in zip(values, right[name], strict=True):
            both_unknown = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
            assert both_unknown or a == b, (name, values, right[name])


def offline(store: Any, view: SequenceView, queries: list[tuple[str, int]]) -> list[dict[str, list[Any]]]:
    """Lists of Feast's retrieval, called on the store directly so that the view does not have to be registered."""
    frame = pd.DataFrame(
        {
            "user_id": [user for user, _ in queries],
            "event_timestamp": pd.to_datetime([time for _, time in queries], unit="us", utc=True),
        }
    )
    table = (
        store._get_provider()
        .get_historical_features(
            store.config,
            [feature_view(USER, Path(store.config.repo_path) / "events.parquet", view)],
            [f"{view.name}:{name}" for name in view.attribute_names],
            frame,
            store.registry,
            store.project,
            False,
        )
        .to_arrow()
    )
    assert table["user_id"].to_pylist() == frame["user_id"].tolist()
    return [{name: row[name] for name in view.attribute_names} for row in table.to_pylist()]


@examples(8, 200)
@given(history=histories(impressions=True))
def test_offline_dense_and_materialized_equal_the_oracle(history: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = event_rows(history)
        events = write_events(folder / "events.parquet", rows)
        store = sqlite_store(folder, VIEWS)
        queries = query_times(rows)
        for view in VIEWS.values():
            expected = [oracle_values(rows, view, user, time) for user, time in queries]
            for got, want in zip(offline(store, view, queries), expected, strict=True):
                assert_equal_lists(got, want)
            dense_equals(events, view, queries, expected)
        materialize(store, date(2024, 1, 2), folder, folder / "progress.json", tuple(VIEWS.values()))
        reader = OnlineReader(store, VIEWS)
        for user in (*USERS, "unknown_user"):
            found = reader.read(user).views
            for view in VIEWS.values():
                assert_equal_lists(found[view.name], oracle_values(rows, view, user, us(DAY)))


@pytest.fixture(scope="module")
def any_store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("any")
    write_events(folder / "events.parquet", [])
    return sqlite_store(folder, VIEWS)


@examples(60, 2_000)
@given(history=histories(impressions=True), view=views())
def test_random_views_are_equal_offline_and_dense(
    any_store: Any, history: list[dict[str, Any]], view: SequenceView
) -> None:
    rows = event_rows(history)
    events = write_events(Path(any_store.config.repo_path) / "events.parquet", rows)
    queries = query_times(rows)
    expected = [oracle_values(rows, view, user, time) for user, time in queries]
    for got, want in zip(offline(any_store, view, queries), expected, strict=True):
        assert_equal_lists(got, want)
    dense_equals(events, view, queries, expected)


def dense_equals(
    events: Path, view: SequenceView, queries: list[tuple[str, int]], expected: list[dict[str, list[Any]]]
) -> None:
    read = DenseReader(events, view, ENCODERS).read([user for user, _ in queries], [time for _, time in queries])
    encoded = encode(view, expected, ENCODERS)
    assert set(read.columns) == set(encoded.columns) == set(view.attribute_names) - {"sequence_number"}
    np.testing.assert_array_equal(read.length_B, encoded.length_B)
    for column in read.columns:
        np.testing.assert_array_equal(read.columns[column], encoded.columns[column], err_msg=column)


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


def test_duplicates_change_nothing_and_count_as_zero(store: Any) -> None:
    writer = OnlineWriter(store, lambda _: DURATION_MS)
    assert writer.apply("u1", [play(1), play(2)]) == 2
    before = OnlineReader(store).read("u1").views
    assert writer.apply("u1", [play(2)]) == 0
    assert OnlineReader(store).read("u1").views == before


def test_apply_time_increases_regardless_of_event_times_and_clock(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[datetime] = []
    provider = store._get_provider()
    write = provider.online_write_batch

    def recording(config: Any, view: Any, data: Any, progress: Any) -> None:
        times.append(data[0][2])
        write(config, view, data, progress)

    monkeypatch.setattr(provider, "online_write_batch", recording)
    writer = OnlineWriter(store, lambda _: DURATION_MS)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for n, seconds in ((9, 0), (8, 5), (7, 3)):  # the clock is set back before the third write
        with mock.patch("sequences.online.reader_writer.datetime") as clock:
            clock.now.return_value = now + timedelta(seconds=seconds)
            writer.apply("u1", [play(n)])
    assert times == sorted(set(times))


def test_an_invalid_row_rejects_the_whole_call(store: Any) -> None:
    writer = OnlineWriter(store, lambda _: DURATION_MS)
    with pytest.raises(behaviours.BehaviourError):
        writer.apply("u1", [play(1), {**play(2), "action": "hum"}])
    assert OnlineReader(store).read("u1").views["recent_events"]["event_id"] == []
