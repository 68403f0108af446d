"""Feast's offline store for sequences on Spark: `{type: sequences.offline.spark.spark_store.SparkSequenceOfflineStore}`.

Returns exactly the same values as `duckdb_store.py` for the same views and Parquet files. Sources remain `FileSource`s, so
`feature_repo/` is independent of the configured store.

Entity rows of a retrieval on Spark: the users (or other entities) and times for which features are requested.

Independent of features.
"""

# ruff: noqa: ARG002 - the signatures are Feast's

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores import offline_utils
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
from feast.type_map import spark_schema_to_np_dtypes
from pydantic import StrictStr
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sequences.offline.entities_in_range import entities_in_range
from sequences.offline.entity_rows import EntityRows, check_columns
from sequences.offline.joined_views import (
    RequestedView,
    append_rows,
    require_ordinary,
    require_parquet,
    source_path,
)
from sequences.offline.point_in_time_join import ROW, TIME, OrdinaryView
from sequences.offline.retrieval_job import save_dataset
from sequences.offline.spark import view_joins
from sequences.sequence_views import sequence_view_of


class SparkSequenceOfflineStoreConfig(SparkOfflineStoreConfig):
    """Feast's Spark configuration with this store's class path."""

    type: StrictStr = "sequences.offline.spark.spark_store.SparkSequenceOfflineStore"


class SparkSequenceOfflineStore(SparkOfflineStore):
    """Offline store with exact point-in-time features, computed by Spark."""

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
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        **_: Any,
    ) -> RetrievalJob:
        """The features of every entity row, equal to `SequenceOfflineStore`; rows of a data frame keep their order.

        Raises:
            ValueError: The times of the entity rows or of a view are numbers, or an entity column has the name of a feature.
            SequenceViewError: A view is not a Parquet file.
            FeastEntityDFMissingColumnsError: The entity rows lack a join key of a view.
        """
        require_parquet(feature_views)
        session = _open_session(config)
        if entity_df is None:
            entity_df = entities_in_range(config, feature_views, start_date, end_date)
        rows = SparkEntityRows(session, entity_df)
        columns_of_rows = rows.input_columns
        result, columns = rows.table, columns_of_rows
        for view in feature_views:
            requested = RequestedView(view, feature_refs, full_feature_names)
            check_columns(columns_of_rows, requested.join_keys.values(), requested.output_columns.values())
            result = result.join(
                _join_features(rows.table, requested, config.repo_path, filter_by_created_timestamp), ROW, "left"
            )
            columns = [*columns, *requested.output_columns.values()]
        first, last = rows.time_range()
        return SparkSequenceRetrievalJob(
            session,
            result.orderBy(ROW).select(*(F.col(f"`{column}`") for column in columns)),
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
        """The newest row per entity, for `feast materialize`; for a sequence source, the last L events of every user."""
        sequence = sequence_view_of(data_source)
        if sequence is None:
            _open_session(config)
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
        session = _open_session(config)
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
            SequenceViewError: The source is a sequence, whose rows depend on the time of reading.
        """
        require_ordinary(data_source)
        _open_session(config)
        source = _spark_source(data_source, config.repo_path)
        return SparkOfflineStore.pull_all_from_table_or_query(config, source, *args, **kwargs)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """See `append_rows`."""
        append_rows(config, feature_view, table, progress)


class SparkSequenceRetrievalJob(SparkRetrievalJob):
    """Feast's Spark retrieval job over a lazily computed data frame."""

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
        """The result as a Spark data frame."""
        return self._frame

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool | None = False, timeout: int | None = None
    ) -> None:
        """Write the result to a Parquet file or folder, see `save_dataset`, or to a storage of Feast's Spark store."""
        if isinstance(storage, SavedDatasetFileStorage):
            save_dataset(
                storage, self._config.repo_path, allow_overwrite, lambda path: pq.write_table(self.to_arrow(), path)
            )
        else:
            super().persist(storage, allow_overwrite, timeout)

    def to_sql(self) -> str:
        """Not available.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "the features are joined by Python functions on Spark, not by one SQL statement; use to_spark_df(), whose "
            "method explain() prints the plan"
        )

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._frame.toArrow()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._frame.toArrow().to_pandas()


def _open_session(config: RepoConfig) -> SparkSession:
    """The Spark session, set to UTC: Spark converts times with a time zone to the session's, by default the process's."""
    session = get_spark_session_or_start_new_with_repoconfig(config.offline_store)
    session.conf.set("spark.sql.session.timeZone", "UTC")
    return session


def _join_features(
    entities: DataFrame, requested: RequestedView, repo_path: Path | None, by_created: bool
) -> DataFrame:
    """The requested features of a view, with the column `ROW`."""
    path, sequence = source_path(repo_path, requested.source), sequence_view_of(requested.source)
    if sequence is None:
        view: OrdinaryView = requested.to_ordinary_view(path)
        return view_joins.join_ordinary_view(entities, view, by_created)
    (user_column,) = requested.join_keys.values()
    return view_joins.join_sequence_view(
        entities, user_column, path, sequence, requested.output_columns, requested.view.ttl
    )


def _spark_source(source: DataSource, repo_path: Path | None) -> SparkSource:
    """The source converted for Feast's Spark store."""
    assert isinstance(source, FileSource)  # noqa: S101 - `feature_repo/` has only file sources
    return SparkSource(
        name=source.name,
        path=source_path(repo_path, source),
        file_format="parquet",
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
        field_mapping=source.field_mapping,
    )


class SparkEntityRows:
    """Entity rows with row numbers and times for joining.

    Args:
        entity_df: A pandas or Spark data frame, or Spark SQL that returns one. Times without an offset are UTC.

    Attributes:
        table: The rows with the time column as `timestamp_ltz`, and the columns `ROW` and `TIME` (naive UTC).
        time_column: Name of the time column.

    Raises:
        EntityTimestampInferenceError: There is no `event_timestamp` and not exactly one other time column.
        ValueError: The time column contains numbers.
    """

    def __init__(self, session: SparkSession, entity_df: pd.DataFrame | str | DataFrame) -> None:
        if isinstance(entity_df, pd.DataFrame):
            rows = EntityRows(entity_df)
            self.time_column = rows.time_column
            self.table = session.createDataFrame(rows.input_table.append_column(ROW, rows.table[ROW]))
        else:
            frame = session.sql(entity_df) if isinstance(entity_df, str) else entity_df
            types = dict(zip(frame.columns, spark_schema_to_np_dtypes(frame.dtypes), strict=True))
            self.time_column = offline_utils.infer_event_timestamp_from_entity_df(types)
            view_joins.require_times(frame, self.time_column, "the entity rows")
            # The checkpoint keeps row numbers stable when Spark recomputes the frame.
            self.table = frame.withColumn(ROW, F.monotonically_increasing_id()).localCheckpoint()
        quoted = "`" + self.time_column.replace("`", "``") + "`"
        instant = F.col(quoted).cast("timestamp_ltz")
        self.table = self.table.withColumn(self.time_column, instant).withColumn(TIME, instant.cast("timestamp_ntz"))

    @property
    def input_columns(self) -> list[str]:
        """The columns of the input."""
        return [column for column in self.table.columns if column not in (ROW, TIME)]

    @property
    def keys(self) -> list[str]:
        """All input columns except the time."""
        return [column for column in self.input_columns if column != self.time_column]

    def time_range(self) -> tuple[datetime | None, datetime | None]:
        """Earliest and latest time; runs a Spark job."""
        first, last = self.table.agg(F.min(TIME), F.max(TIME)).collect()[0]
        return first and first.replace(tzinfo=UTC), last and last.replace(tzinfo=UTC)
