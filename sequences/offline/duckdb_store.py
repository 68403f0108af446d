"""Feast's offline store for sequences: `offline_store: {type: sequences.offline.duckdb_store.SequenceOfflineStore}`.

Sequence views (their source has the tag `sequence`) are read from the event table, ordinary views are joined
point-in-time; one call may request several of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

import ibis
import pandas as pd
import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from pydantic import StrictStr

from sequences.offline.entities_in_range import entities_in_range
from sequences.offline.entity_rows import EntityRows
from sequences.offline.joined_views import (
    append_rows,
    join_view,
    localize_source,
    parquet_path,
    require_ordinary,
    require_parquet,
)
from sequences.offline.list_reader import ListReader, latest_from_reader
from sequences.offline.retrieval_job import SequenceRetrievalJob
from sequences.sequence_views import sequence_view_of

MAX_ROWS_PER_CHUNK = 16_384
MAX_ELEMENTS_PER_CHUNK = 4_194_304


class SequenceOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """Feast's DuckDB configuration with this store's class path."""

    type: StrictStr = "sequences.offline.duckdb_store.SequenceOfflineStore"


class SequenceOfflineStore(DuckDBOfflineStore):
    """Offline store with exact point-in-time features, computed in chunks."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """The features of every entity row, in the order of the rows, which may be unsorted and contain duplicates.

        A sequence contains the events with `known_at < event_timestamp` and is empty, not null, if there are none. All
        features of a row without a time are null. With a time range instead of entity rows: see `entities_in_range`.

        Raises:
            ValueError: The times of the entity rows or of a view are numbers, or an entity column has the name of a feature.
            SequenceViewError: A view is not a Parquet file.
            FeastEntityDFMissingColumnsError: The entity rows lack a join key of a view.
        """
        require_parquet(feature_views)
        rows = EntityRows(
            entities_in_range(config, feature_views, start_date, end_date) if entity_df is None else entity_df
        )
        views = [
            join_view(view, feature_refs, rows, config.repo_path, full_feature_names, filter_by_created_timestamp)
            for view in feature_views
        ]
        schema = pa.schema([*rows.input_table.schema, *(field for view in views for field in view.fields)])
        list_elements = max(sum(view.max_list_elements for view in views), 1)  # of one row
        step = max(min(MAX_ROWS_PER_CHUNK, MAX_ELEMENTS_PER_CHUNK // list_elements), 1)

        def read_chunks() -> Iterator[pa.RecordBatch]:
            for start in range(0, len(rows), step):
                length = min(step, len(rows) - start)
                columns = list(rows.input_table.slice(start, length).columns)
                for view in views:
                    columns += view.columns(start, length)
                yield from pa.table(columns, schema=schema).combine_chunks().to_batches()

        earliest, latest_time = rows.time_range
        return SequenceRetrievalJob(
            schema,
            read_chunks,
            full_feature_names,
            OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            RetrievalMetadata(
                features=feature_refs,
                keys=rows.keys,
                min_event_timestamp=earliest,
                max_event_timestamp=latest_time,
            ),
            staging_location=config.offline_store.staging_location,
            repo_path=config.repo_path,
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
            job: Any = DuckDBOfflineStore.pull_latest_from_table_or_query(
                config,
                localize_source(config.repo_path, data_source),
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column,
                start_date,
                end_date,
            )
            if not join_key_columns:  # a view without entities; Feast's store leaves its key out
                job.table = job.table.mutate(**{DUMMY_ENTITY_ID: ibis.literal(DUMMY_ENTITY_VAL)})
            return cast(RetrievalJob, job)
        as_of_us = int(end_date.astimezone(UTC).timestamp() * 1_000_000)
        assert isinstance(data_source, FileSource)  # noqa: S101 - sequences are tagged file sources
        path = parquet_path(config.repo_path, data_source)
        table = latest_from_reader(ListReader.from_file(path, sequence, feature_name_columns), as_of_us)
        return SequenceRetrievalJob(
            table.schema, lambda: iter(table.to_batches()), False, [], None, repo_path=config.repo_path
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig, data_source: DataSource, *args: Any, **kwargs: Any
    ) -> RetrievalJob:
        """All rows of an ordinary source.

        Raises:
            SequenceViewError: The source is a sequence, whose rows depend on the time of reading.
        """
        require_ordinary(data_source)
        source = localize_source(config.repo_path, data_source)
        return DuckDBOfflineStore.pull_all_from_table_or_query(config, source, *args, **kwargs)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """See `append_rows`."""
        append_rows(config, feature_view, table, progress)
