"""Feature views joined to entity rows, returned in slices of rows.

An ordinary view is joined as a whole, because it has a few scalars per row. A sequence view is computed slice by slice,
because rows × L values would not fit in memory; its reader holds the events of the requested users.

Rows that Feast writes to the offline store: `write_to_offline_store`, and `push` with `to=PushMode.OFFLINE`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from glob import iglob
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import RepoConfig

from sequences.feast_store import local_marts_folder
from sequences.offline import point_in_time_join
from sequences.offline.entity_rows import EntityRows, check_columns
from sequences.offline.list_reader import ListReader, list_types
from sequences.sequence_views import SequenceView, SequenceViewError, sequence_view_of

MART_PATHS = ("marts/", "${SEGUE_HOME}/marts/")
"""Begin of the registered path of a mart; the second is from an earlier version."""


@dataclass(frozen=True)
class JoinedView:
    """Columns that one view contributes to a result."""

    fields: list[pa.Field]  # names and types of the columns, in order
    max_list_elements: int  # maximum number of list elements per row, summed over the columns; 0 without lists
    columns: Callable[
        [int, int], list[pa.Array | pa.ChunkedArray]
    ]  # of some entity rows: the first one, and their number


class RequestedView:
    """The features of one view that a call requests.

    Attributes:
        output_columns: feature ▸ column of the result.
        join_keys: join key of the view ▸ column of the entity rows.
        source: Parquet file or folder of the view.
    """

    def __init__(self, view: FeatureView, feature_refs: Sequence[str], full_feature_names: bool) -> None:
        self.view = view
        requested = view.projection.name_to_use()
        features = [ref.split(":", 1)[1] for ref in feature_refs if ref.split(":", 1)[0] == requested]
        prefix = view.projection.name_alias or view.name
        self.output_columns = {
            feature: f"{prefix}__{feature}" if full_feature_names else feature for feature in features
        }
        self.join_keys = view.projection.join_key_map or {column.name: column.name for column in view.entity_columns}
        assert isinstance(view.batch_source, FileSource)  # noqa: S101 - the store has checked it with `is_parquet`
        self.source: FileSource = view.batch_source

    def to_ordinary_view(self, path: str) -> point_in_time_join.OrdinaryView:
        """The view over the file, folder or glob at `path`, with the column names of the file."""
        file_name = _file_names(self.source.field_mapping, path)
        timestamp, created = self.source.timestamp_field, self.source.created_timestamp_column
        return point_in_time_join.OrdinaryView(
            path=path,
            timestamp=file_name.get(timestamp, timestamp),
            created=file_name.get(created, created) or None,
            keys={file_name.get(key, key): column for key, column in self.join_keys.items()},
            features={file_name.get(feature, feature): name for feature, name in self.output_columns.items()},
            time_to_live=self.view.ttl,
        )


def _file_names(field_mapping: Mapping[str, str], path: str) -> dict[str, str]:
    """Name in Feast ▸ column of the file; a file that already has the names of Feast needs no mapping."""
    if not field_mapping:
        return {}
    pattern = str(Path(path) / "**" / "*.parquet") if Path(path).is_dir() else path
    columns = pq.read_schema(next(iglob(pattern, recursive=True), path)).names  # noqa: PTH207 - an absolute pattern
    return {new: old for old, new in field_mapping.items() if old in columns or new not in columns}


def join_view(
    view: FeatureView,
    feature_refs: Sequence[str],
    rows: EntityRows,
    repo_path: Path | None,
    full_feature_names: bool,
    by_created: bool,
) -> JoinedView:
    """The requested features of a view for the entity rows.

    Raises:
        FeastEntityDFMissingColumnsError: The rows lack a join key.
        EventTableError: The event table is missing, lacks a column or is not sorted.
        ValueError: A time column of the view's file does not contain times, or the rows have a column with the name of a
            feature.
    """
    requested = RequestedView(view, feature_refs, full_feature_names)
    check_columns(rows.input_table.column_names, requested.join_keys.values(), requested.output_columns.values())
    path, sequence = parquet_path(repo_path, requested.source), sequence_view_of(requested.source)
    if sequence is not None:
        (user_column,) = requested.join_keys.values()
        return _join_sequences(rows, rows.text(user_column), requested, sequence, path)
    table = point_in_time_join.join(rows.table, requested.to_ordinary_view(path), by_created)
    return JoinedView(list(table.schema), 0, lambda start, length: list(table.slice(start, length).columns))


def _join_sequences(
    rows: EntityRows, users: pa.Array, requested: RequestedView, sequence: SequenceView, path: str
) -> JoinedView:
    features = list(requested.output_columns)
    reader = ListReader.from_file(path, sequence, features, users.unique(), requested.view.ttl)
    index = reader.timeline.index_of(users)

    def columns(start: int, length: int) -> list[pa.Array | pa.ChunkedArray]:
        part = slice(start, start + length)
        lists, has_no_time = reader.read_at(index[part], rows.times_us[part]), rows.has_no_time[part]
        if not has_no_time.any():
            return lists
        return [pc.if_else(pa.array(has_no_time), pa.scalar(None, column.type), column) for column in lists]

    fields = list(map(pa.field, requested.output_columns.values(), list_types(features)))
    return JoinedView(fields, sequence.length * len(features), columns)


def require_ordinary(source: DataSource) -> None:
    """Check that a source has rows to pull.

    Raises:
        SequenceViewError: The source is a sequence, whose rows depend on the time of reading.
    """
    if sequence := sequence_view_of(source):
        raise SequenceViewError(
            f"view {sequence.name!r} has no rows to pull; use get_historical_features, or materialize with "
            "`materialization: {pull_latest_features: true}`"
        )


def is_parquet(source: DataSource | None) -> bool:
    """Whether a source is a mart, or a local Parquet file or folder."""
    return (
        isinstance(source, FileSource)
        and not is_remote(source.path)
        and (
            isinstance(source.file_format, ParquetFormat)
            or (source.file_format is None and source.path.endswith(".parquet"))
        )
    )


def require_parquet(views: Sequence[FeatureView]) -> None:
    """Check that all views are read from Parquet files.

    Raises:
        SequenceViewError: A view is not.
    """
    others = [view.name for view in views if not is_parquet(view.batch_source)]
    if others:
        raise SequenceViewError(f"views {others} are not Parquet files; give them a FileSource")


def is_remote(uri: str) -> bool:
    """Whether a URI is neither a path nor a `file://` URI."""
    return "://" in uri and urlparse(uri).scheme != "file"


def local_path(repo_path: Path | None, uri: str) -> Path:
    """The path of a local URI; `file://` is removed, and a relative path starts at the repository."""
    path = Path(unquote(urlparse(uri).path) if urlparse(uri).scheme == "file" else uri)
    return path if repo_path is None else Path(repo_path) / path


def parquet_path(repo_path: Path | None, source: FileSource) -> str:
    """Path of a source for DuckDB: a file, or a glob of all Parquet files below a folder."""
    path = Path(source_path(repo_path, source))
    return str(path / "**" / "*.parquet") if path.is_dir() else str(path)


def source_path(repo_path: Path | None, source: DataSource) -> str:
    """Local path of a source: a file or folder; for a mart, its file or local copy."""
    assert isinstance(source, FileSource)  # noqa: S101 - sequences are tagged file sources
    if source.path.startswith(MART_PATHS):
        return str(local_marts_folder() / Path(source.path).name)
    return str(local_path(repo_path, source.path))


def localize_source(repo_path: Path | None, source: DataSource) -> DataSource:
    """A source that Feast's own DuckDB store can read: an absolute path; of a mart on object storage the local copy."""
    if not isinstance(source, FileSource) or not is_parquet(source):
        return source
    copied: FileSource = FileSource.from_proto(source.to_proto())
    copied.file_options.uri = parquet_path(repo_path, source)
    return copied


def append_rows(config: RepoConfig, view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None) -> None:
    """Append rows to the Parquet file of an ordinary view, as Feast's own DuckDB store does.

    Raises:
        SequenceViewError: The view is read from a mart; the event table must stay sorted and without duplicates.
        ValueError: The source of the view is not a Parquet file on this machine.
    """
    source = view.batch_source
    if sequence_view_of(source) is not None or (isinstance(source, FileSource) and source.path.startswith(MART_PATHS)):
        raise SequenceViewError(
            f"view {view.name!r} cannot be written offline: it is read from a mart, which dbt builds from "
            "landed logs; land the events (`python -m ingestion.land`)"
        )
    if not isinstance(source, FileSource) or not is_parquet(source):
        raise ValueError(f"view {view.name!r} cannot be written offline: its source is not a Parquet file here")
    if (path := Path(source_path(config.repo_path, source))).is_dir():
        raise ValueError(f"view {view.name!r} is the folder {path}; write the rows to a further Parquet file in it")
    local_view = copy.copy(view)
    local_view.batch_source = localize_source(config.repo_path, source)
    DuckDBOfflineStore.offline_write_batch(config, local_view, table, progress)
