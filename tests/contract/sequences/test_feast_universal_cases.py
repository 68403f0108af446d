"""Feast's universal offline-store cases, through our store. Each test has the name of the case it ports.

From `sdk/python/tests/integration/offline_store/test_universal_historical_retrieval.py` unless it says otherwise.
Expected values come from a loop over every row (`universal_views.Universal.expected`).
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from feast import FeatureService
from feast.errors import FeastEntityDFMissingColumnsError, FeatureNameCollisionError

from tests.support.sequences.universal_views import Universal, entity_rows, open_world, plain

FEATURES = [
    "driver_stats:conv_rate",
    "driver_stats:avg_daily_trips",
    "customer_profile:current_balance",
    "customer_profile:lifetime_trip_count",
    "order:order_is_success",
    "global_stats:num_rides",
    "field_mapping:feature_name",
]


@pytest.fixture(scope="module")
def universal(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_world(tmp_path_factory.mktemp("universal"))


def assert_result(
    answer: pd.DataFrame,
    universals: dict[str, Universal],
    queries: pd.DataFrame,
    features: list[str],
    full_feature_names: bool,
) -> None:
    """Compare a result with the oracle: row order, all columns present, no others except `extra`."""
    rows = plain(queries)
    assert len(answer) == len(rows)
    for column in queries.columns:
        given = pd.to_datetime(queries[column], utc=True) if column == "event_timestamp" else queries[column]
        assert answer[column].tolist() == given.tolist()
    for feature in features:
        view, name = feature.split(":")
        assert_equal_values(
            answer[f"{view}__{name}" if full_feature_names else name],
            [universals[view].expected(row, name) for row in rows],
        )


def assert_equal_values(column: pd.Series, wanted: list[Any]) -> None:
    assert any(value is not None for value in wanted)
    assert [None if pd.isna(value) else value for value in column.tolist()] == wanted


@pytest.mark.parametrize("full_feature_names", [True, False], ids=lambda value: f"full:{value}")
def test_historical_features_main(universal: Any, full_feature_names: bool) -> None:
    store, universals, _ = universal
    queries = entity_rows().assign(val_to_add=range(60))
    job = store.get_historical_features(
        queries,
        [*FEATURES, "conv_rate_plus_100:conv_rate_plus_100", "conv_rate_plus_100:conv_rate_plus_val_to_add"],
        full_feature_names=full_feature_names,
    )
    answer = job.to_df()
    assert_result(answer, universals, queries, FEATURES, full_feature_names)
    rates = [universals["driver_stats"].expected(row, "conv_rate") for row in plain(queries)]
    prefix = "conv_rate_plus_100__" if full_feature_names else ""
    assert_equal_values(answer[f"{prefix}conv_rate_plus_100"], [None if rate is None else rate + 100 for rate in rates])
    assert_equal_values(
        answer[f"{prefix}conv_rate_plus_val_to_add"],
        [None if rate is None else rate + n for n, rate in enumerate(rates)],
    )
    assert len(answer.columns) == len(queries.columns) + len(FEATURES) + 2
    assert_result(job.to_arrow().to_pandas(), universals, queries, FEATURES, full_feature_names)
    assert (job.metadata.min_event_timestamp, job.metadata.max_event_timestamp) == (
        queries["event_timestamp"].min(),
        queries["event_timestamp"].max(),
    )


def test_remote_storage(universal: Any) -> None:
    """Of `test_historical_features_main`."""
    store, universals, _ = universal
    job = store.get_historical_features(entity_rows(), FEATURES)
    assert job.supports_remote_storage_export()
    (file,) = job.to_remote_storage()
    assert_result(pd.read_parquet(file), universals, entity_rows(), FEATURES, full_feature_names=False)


def test_historical_features_main_entity_mapping(universal: Any) -> None:
    """Feast's `assert_feature_service_entity_mapping_correctness`: one view twice, joined on different columns."""
    store, universals, views = universal
    service = FeatureService(
        name="entity_mapping",
        features=[
            views["location"].with_name("origin").with_join_key_map({"location_id": "origin_id"}),
            views["location"].with_name("destination").with_join_key_map({"location_id": "destination_id"}),
        ],
    )
    store.apply([service])
    queries = entity_rows()
    answer = store.get_historical_features(queries, service, full_feature_names=True).to_df()
    for name in ("origin", "destination"):
        keys = {"location_id": f"{name}_id"}
        assert_equal_values(
            answer[f"{name}__temperature"],
            [universals["location"].expected(row, "temperature", keys) for row in plain(queries)],
        )
    with pytest.raises(FeatureNameCollisionError):
        store.get_historical_features(queries, service, full_feature_names=False)


def test_historical_features_from_parquet_sources_infer_event_timestamp_col(universal: Any) -> None:
    """From the older `test_historical_retrieval.py`: a single time column is inferred, whatever its name."""
    store, universals, _ = universal
    queries = entity_rows()
    answer = store.get_historical_features(queries.rename(columns={"event_timestamp": "e_ts"}), FEATURES).to_df()
    assert_result(
        answer.rename(columns={"e_ts": "event_timestamp"}), universals, queries, FEATURES, full_feature_names=False
    )


def test_historical_features_from_parquet_sources_missing_join_key(universal: Any) -> None:
    """From the older `test_historical_retrieval.py`."""
    store, _, _ = universal
    with pytest.raises(FeastEntityDFMissingColumnsError, match="customer_id"):
        store.get_historical_features(entity_rows().rename(columns={"customer_id": "customer"}), FEATURES)
