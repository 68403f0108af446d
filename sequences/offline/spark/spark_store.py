"""Feast's offline store for sequences on Spark: `{type: sequences.offline.spark.spark_store.SparkSequenceOfflineStore}`.

It answers the same views over the same Parquet files as `offline_store.py`, element by element: sources stay
`FileSource`s, so nothing in `feature_repo/` knows which of the two is configured.
"""

# ruff: noqa: ARG002 - the signatures are Feast's

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_source import DataSource
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_view import FeatureView
from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
    SparkOfflineStore,
    SparkOfflineStoreConfig,
    SparkRetrievalJob,
    get_spark_session_or_start_new_with_repoconfig,
)
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.offline_stores.file_source import FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from pydantic import StrictStr, field_validator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sequences.feast_store import require_absolute_home
from sequences.offline.joined_views import RequestedView, is_parquet, sequence_view_of, source_path
from sequences.offline.point_in_time_join import ROW, OrdinaryView
from sequences.offline.spark import point_in_time_join, view_joins
from sequences.offline.spark.entity_rows import SparkEntityRows
from sequences.views import SequenceViewError


class SparkSequenceOfflineStoreConfig(SparkOfflineStoreConfig):
    """Feast's Spark configuration under our class path."""

    type: StrictStr = "sequences.offline.spark.spark_store.SparkSequenceOfflineStore"

    home: StrictStr | None = None
    """As in `SequenceOfflineStoreConfig`."""

    @field_validator("home")
    @classmethod
    def _is_absolute(cls, home: str | None) -> str | None:
        return require_absolute_home(home)


class SparkSequenceOfflineStore(SparkOfflineStore):
    """Point-in-time features, exact to the event, computed by Spark."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | DataFrame | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **unsupported: Any,
    ) -> RetrievalJob:
        """The features of every entity row, as `SequenceOfflineStore` gives them; a data frame's rows in its order.

        Raises:
            ValueError: there are no entity rows to answer, only a range of times.
            SequenceViewError: a view is not a Parquet file.
            FeastEntityDFMissingColumnsError: the entity rows lack a column that a view is joined on.
        """
        if entity_df is None:
            raise ValueError(f"entity rows are needed (got {sorted(unsupported)}); pass entity_df")
        odd = [view.name for view in feature_views if not is_parquet(view.batch_source)]
        if odd:
            raise SequenceViewError(f"views {odd} are not Parquet files; give them a FileSource")
        session = get_spark_session_or_start_new_with_repoconfig(config.offline_store)
        rows = SparkEntityRows(session, entity_df)
        answer, columns = rows.table, rows.input_columns
        for view in feature_views:
            asked = RequestedView(view, feature_refs, full_feature_names)
            rows.require(list(asked.join_keys.values()))
            answer = answer.join(
                _join_features(rows.table, asked, config.repo_path, filter_by_created_timestamp), ROW, "left"
            )
            columns = [*columns, *asked.output_columns.values()]
        first, last = rows.time_range()
        return SparkSequenceRetrievalJob(
            session,
            answer.orderBy(ROW).select(*(F.col(f"`{column}`") for column in columns)),
            config,
            full_feature_names,
            OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            RetrievalMetadata(
                features=feature_refs, keys=rows.keys, min_event_timestamp=first, max_event_timestamp=last
            ),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The newest state of every entity, for `feast materialize`: of a sequence source, all users' last L events."""
        sequence = sequence_view_of(data_source)
        if sequence is None:
            return SparkOfflineStore.pull_latest_from_table_or_query(
                config,
                _spark_source(data_source, config.repo_path),
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column,
                start_date,
                end_date,
            )
        session = get_spark_session_or_start_new_with_repoconfig(config.offline_store)
        as_of_us = int(end_date.astimezone(UTC).timestamp() * 1_000_000)
        path = source_path(config.repo_path, data_source)
        newest = view_joins.read_latest_sequences(session, path, sequence, feature_name_columns, as_of_us)
        return SparkSequenceRetrievalJob(session, newest, config)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig, data_source: DataSource, *args: Any, **kwargs: Any
    ) -> RetrievalJob:
        """All rows of an ordinary source.

        Raises:
            SequenceViewError: the source is a sequence, of which every moment has another row.
        """
        sequence = sequence_view_of(data_source)
        if sequence is not None:
            raise SequenceViewError(
                f"view {sequence.name!r} has no rows to pull; use get_historical_features, or materialize with "
                "`materialization: {pull_latest_features: true}`"
            )
        source = _spark_source(data_source, config.repo_path)
        return SparkOfflineStore.pull_all_from_table_or_query(config, source, *args, **kwargs)


class SparkSequenceRetrievalJob(SparkRetrievalJob):
    """Feast's retrieval on Spark, of a data frame that is computed when somebody asks for its rows."""

    def __init__(
        self,
        session: SparkSession,
        frame: DataFrame,
        config: RepoConfig,
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        super().__init__(session, "", full_feature_names, config, on_demand_feature_views, metadata)
        self._frame = frame

    def to_spark_df(self) -> DataFrame:
        """The answer, still on Spark."""
        return self._frame

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool | None = False, timeout: int | None = None
    ) -> None:
        """Writes the answer to a Parquet file, or to what else Feast's Spark store writes to.

        Raises:
            SavedDatasetLocationAlreadyExists: the file exists, and `allow_overwrite` is off.
        """
        if not isinstance(storage, SavedDatasetFileStorage):
            super().persist(storage, allow_overwrite, timeout)
            return
        path = Path(storage.file_options.uri)
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(path))
        pq.write_table(self.to_arrow(), path)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._frame.toArrow()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._frame.toArrow().to_pandas()
        return frame


def _join_features(entities: DataFrame, asked: RequestedView, repo_path: Path | None, by_created: bool) -> DataFrame:
    """The view's features with `ROW`."""
    path, sequence = source_path(repo_path, asked.source), sequence_view_of(asked.source)
    if sequence is None:
        view: OrdinaryView = asked.to_ordinary_view(path)
        return point_in_time_join.join_ordinary_view(entities, view, by_created)
    (user_column,) = asked.join_keys.values()
    return view_joins.join_sequence_view(entities, user_column, path, sequence, asked.output_columns, asked.view.ttl)


def _spark_source(source: DataSource, repo_path: Path | None) -> SparkSource:
    """The source as Feast's Spark store reads it."""
    assert isinstance(source, FileSource)  # noqa: S101 - `feature_repo/` has no others
    return SparkSource(
        name=source.name,
        path=source_path(repo_path, source),
        file_format="parquet",
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
        field_mapping=source.field_mapping,
    )
