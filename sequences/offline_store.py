"""Feast's offline store for sequences: `offline_store: {type: sequences.offline_store.SequenceOfflineStore}`.

Sequence views (their source carries the tag `sequence`) are cut from the event table, ordinary views are joined as of
each row's time; one call may ask for several of both. What is neither Parquet nor a sequence goes to Feast's own DuckDB
store.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from pydantic import StrictStr, field_validator

from sequences import as_of_join
from sequences.definition import TAG, SequenceView, SequenceViewError
from sequences.latest import latest
from sequences.offline_sequences import ListReader
from sequences.retrieval_job import SequenceRetrievalJob
from sequences.timeline import microseconds

ROWS_OF_A_PIECE = 8192


class SequenceOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """Feast's DuckDB configuration under our class path."""

    type: StrictStr = "sequences.offline_store.SequenceOfflineStore"

    home: StrictStr | None = None
    """`${SEGUE_HOME}` in the repository's YAML, only to be checked: Feast leaves an unset variable as it stands, and takes
    a relative path from the repository's folder."""

    @field_validator("home")
    @classmethod
    def _is_absolute(cls, home: str | None) -> str | None:
        if home is not None and not Path(home).is_absolute():
            raise ValueError(f"SEGUE_HOME is {home!r}; export it as an absolute path, for instance SEGUE_HOME=$PWD/var")
        return home


class SequenceOfflineStore(DuckDBOfflineStore):
    """Point-in-time features, exact to the event, streamed."""

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
        **unsupported: Any,
    ) -> RetrievalJob:
        """The features of every entity row, in its order; duplicates and any order of times are fine.

        A sequence holds the events with `known_at < event_timestamp` and is empty, not null, where there are none.

        Raises:
            ValueError: there are no entity rows to answer, only a range of times.
            SequenceViewError: a sequence is asked together with a view that is not a Parquet file.
        """
        if entity_df is None:
            raise ValueError(f"entity rows are needed (got {sorted(unsupported)}); pass entity_df")
        if not all(_is_parquet(view.batch_source) for view in feature_views):
            odd = [view.name for view in feature_views if not _is_parquet(view.batch_source)]
            if any(sequence_of(view.batch_source) for view in feature_views):
                raise SequenceViewError(f"views {odd} are not Parquet files; ask for them in a call without sequences")
            return DuckDBOfflineStore.get_historical_features(
                config,
                feature_views,
                feature_refs,
                entity_df,
                registry,
                project,
                full_feature_names,
                filter_by_created_timestamp,
            )
        frame = duckdb.sql(entity_df).df() if isinstance(entity_df, str) else entity_df
        frame, time_column = _with_utc_times(frame)
        rows = _EntityRows(frame, time_column)
        ordinary: list[pa.Table] = []
        readers: list[tuple[ListReader, str]] = []
        names: list[tuple[str, pa.DataType | None]] = []
        for view in feature_views:
            prefix = view.projection.name_to_use()
            features = [ref.split(":", 1)[1] for ref in feature_refs if ref.split(":", 1)[0] == prefix]
            shown = view.projection.name_alias or view.name
            named = {f: f"{shown}__{f}" if full_feature_names else f for f in features}
            keys = view.projection.join_key_map or {column.name: column.name for column in view.entity_columns}
            rows.require(view.name, list(keys.values()))
            source = view.batch_source
            assert isinstance(source, FileSource)  # noqa: S101 - `_is_parquet` has seen to it
            path = _path(config, source)
            sequence = sequence_of(source)
            if sequence is None:
                old_name = {new: old for old, new in source.field_mapping.items()}
                table = as_of_join.join(
                    rows.table,
                    as_of_join.OrdinaryView(
                        path=path,
                        timestamp=source.timestamp_field,
                        created=source.created_timestamp_column or None,
                        keys={old_name.get(theirs, theirs): ours for theirs, ours in keys.items()},
                        features={old_name.get(f, f): named[f] for f in features},
                        time_to_live=view.ttl,
                    ),
                    by_created=filter_by_created_timestamp,
                )
                ordinary.append(table)
                names += [(field.name, field.type) for field in table.schema]
            else:
                (user_column,) = keys.values()
                users = rows.text(user_column)
                readers.append((ListReader(path, sequence, features, users.unique(), view.ttl), user_column))
                names += zip(named.values(), readers[-1][0].types, strict=True)
        entities = rows.given
        schema = pa.schema([*entities.schema, *(pa.field(name, of_type) for name, of_type in names)])
        order = [sequence_of(view.batch_source) is not None for view in feature_views]

        def pieces() -> Iterator[pa.RecordBatch]:
            for start in range(0, entities.num_rows, ROWS_OF_A_PIECE):
                length = min(ROWS_OF_A_PIECE, entities.num_rows - start)
                tables, lists = iter(ordinary), iter(readers)
                columns = list(entities.slice(start, length).columns)
                for is_sequence in order:
                    if is_sequence:
                        reader, user_column = next(lists)
                        users = rows.text(user_column).slice(start, length).to_pylist()
                        columns += reader.read(users, rows.times_us[start : start + length])
                    else:
                        columns += next(tables).slice(start, length).columns
                yield from pa.table(columns, schema=schema).combine_chunks().to_batches()

        return SequenceRetrievalJob(
            schema,
            pieces,
            full_feature_names,
            OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            RetrievalMetadata(
                features=feature_refs,
                keys=[column for column in frame.columns if column != time_column],
                min_event_timestamp=frame[time_column].min().to_pydatetime() if len(frame) else None,
                max_event_timestamp=frame[time_column].max().to_pydatetime() if len(frame) else None,
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
        sequence = sequence_of(data_source)
        if sequence is None:
            return DuckDBOfflineStore.pull_latest_from_table_or_query(
                config,
                data_source,
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column,
                start_date,
                end_date,
            )
        as_of_us = int(end_date.astimezone(UTC).timestamp() * 1_000_000)
        table = latest(_path(config, data_source), sequence, feature_name_columns, as_of_us)
        return SequenceRetrievalJob(table.schema, lambda: iter(table.to_batches()), False, [], None)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig, data_source: DataSource, *args: Any, **kwargs: Any
    ) -> RetrievalJob:
        """All rows of an ordinary source.

        Raises:
            SequenceViewError: the source is a sequence, of which every moment has another row.
        """
        sequence = sequence_of(data_source)
        if sequence is not None:
            raise SequenceViewError(
                f"view {sequence.name!r} has no rows to pull; use get_historical_features, or materialize with "
                "`materialization: {pull_latest_features: true}`"
            )
        return DuckDBOfflineStore.pull_all_from_table_or_query(config, data_source, *args, **kwargs)


def sequence_of(source: DataSource | None) -> SequenceView | None:
    """The sequence view that a source stands for; None for an ordinary source."""
    text = source.tags.get(TAG) if source is not None else None
    return SequenceView.from_json(text) if text else None


class _EntityRows:
    """The rows to answer: as given, and with their number and time for joining."""

    def __init__(self, frame: pd.DataFrame, time_column: str) -> None:
        self.given = pa.Table.from_pandas(frame, preserve_index=False).combine_chunks()
        time = self.given[time_column].cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.timestamp("us"))
        self.table = self.given.append_column(as_of_join.ROW, pa.array(np.arange(len(frame)))).append_column(
            as_of_join.TIME, time
        )
        self.times_us = microseconds(time.combine_chunks())
        self._texts: dict[str, pa.ChunkedArray] = {}

    def require(self, view: str, columns: list[str]) -> None:
        missing = sorted(set(columns) - set(self.given.column_names))
        if missing:
            raise SequenceViewError(
                f"view {view!r} is joined on {missing}, which the entity rows lack; add the columns"
            )

    def text(self, column: str) -> pa.ChunkedArray:
        if column not in self._texts:
            self._texts[column] = self.given[column].cast(pa.string())
        return self._texts[column]


def _with_utc_times(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    time_column = offline_utils.infer_event_timestamp_from_entity_df(
        dict(zip(frame.columns, frame.dtypes, strict=True))
    )
    return frame.assign(**{time_column: pd.to_datetime(frame[time_column], utc=True)}), time_column


def _is_parquet(source: DataSource | None) -> bool:
    return (
        isinstance(source, FileSource)
        and "://" not in source.path
        and (
            isinstance(source.file_format, ParquetFormat)
            or (source.file_format is None and source.path.endswith(".parquet"))
        )
    )


def _path(config: RepoConfig, source: DataSource) -> str:
    assert isinstance(source, FileSource)  # noqa: S101 - our repository has no other
    path = Path(FileSource.get_uri_for_file_path(repo_path=config.repo_path, uri=source.path))
    return str(path / "**" / "*.parquet") if path.is_dir() else str(path)
