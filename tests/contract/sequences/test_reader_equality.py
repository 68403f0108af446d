"""Offline store, dense reader and online reader equal the oracle, on random histories."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from sequences.offline.dense_reader import DenseReader
from sequences.online.materialize import materialize
from sequences.online.reader import OnlineReader
from sequences.sequence_batch import encode
from sequences.sequence_views import SEQUENCE_VIEWS, SequenceView
from tests.support.sequences.event_rows import event_rows, oracle_values, us, write_events
from tests.support.sequences.feast_stores import USER, feature_view, sqlite_store
from tests.support.sequences.random_histories import (
    DAY,
    ENCODERS,
    USERS,
    examples,
    histories,
    query_times,
    views,
)

VIEWS = {name: replace(view, length=min(view.length, 4)) for name, view in SEQUENCE_VIEWS.items()}


def assert_equal_lists(left: dict[str, list[Any]], right: dict[str, list[Any]]) -> None:
    assert repr(sorted(left.items())) == repr(sorted(right.items()))  # repr: NaN equals itself


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
        for view in VIEWS.values():
            assert_equal_to_oracle(store, events, view, rows)
        materialize(store, date(2024, 1, 2), folder, tuple(VIEWS.values()))
        reader = OnlineReader(store, views=VIEWS)
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
    assert_equal_to_oracle(
        any_store, write_events(Path(any_store.config.repo_path) / "events.parquet", rows), view, rows
    )


def assert_equal_to_oracle(store: Any, events: Path, view: SequenceView, rows: list[dict[str, Any]]) -> None:
    queries = query_times(rows)
    expected = [oracle_values(rows, view, user, time) for user, time in queries]
    for got, want in zip(offline(store, view, queries), expected, strict=True):
        assert_equal_lists(got, want)
    read = DenseReader(events, view, ENCODERS).read([user for user, _ in queries], [time for _, time in queries])
    encoded = encode(view, expected, ENCODERS)
    assert set(read.columns) == set(encoded.columns) == set(view.attribute_names) - {"sequence_number"}
    np.testing.assert_array_equal(read.length_B, encoded.length_B)
    for column in read.columns:
        np.testing.assert_array_equal(read.columns[column], encoded.columns[column], err_msg=column)
