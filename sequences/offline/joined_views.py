"""Feature views joined to entity rows, ready to be given out a slice at a time.

An ordinary view is joined whole, a few numbers a row; a sequence view is cut when a slice is asked for, as rows × L would
not fit, out of its users' events, or a block of them where rows are in the order of users. Knows nothing about where an answer goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileSource

from config import settings
from sequences.offline import point_in_time_join
from sequences.offline.entity_rows import EntityRows
from sequences.offline.user_blocks import BlockReader
from sequences.views import SEQUENCE_TAG, SequenceView
from storage import object_store


class JoinedView(Protocol):
    """What one view contributes to the answer.

    Attributes:
        fields: the columns, in order.
        elements: most list elements that one row may get, over all columns; 0 without lists.
    """

    fields: list[pa.Field]
    max_list_elements: int

    def columns(self, start: int, length: int) -> list[pa.Array | pa.ChunkedArray]:
        """The columns for entity rows `start` to `start + length`."""


class RequestedView:
    """What a call asks of one view.

    Attributes:
        names: feature ▸ column of the answer.
        keys: join key of the view ▸ column of the entity rows.
        source: the Parquet file or folder behind it.
    """

    def __init__(self, view: FeatureView, feature_refs: Sequence[str], full_feature_names: bool) -> None:
        self.view = view
        asked = view.projection.name_to_use()
        features = [ref.split(":", 1)[1] for ref in feature_refs if ref.split(":", 1)[0] == asked]
        shown = view.projection.name_alias or view.name
        self.output_columns = {
            feature: f"{shown}__{feature}" if full_feature_names else feature for feature in features
        }
        self.join_keys = view.projection.join_key_map or {column.name: column.name for column in view.entity_columns}
        assert isinstance(view.batch_source, FileSource)  # noqa: S101 - the store has seen to it by `is_parquet`
        self.source: FileSource = view.batch_source

    def to_ordinary_view(self, path: str) -> point_in_time_join.OrdinaryView:
        """The view over the file at `path`, in the file's own names."""
        old_name = {new: old for old, new in self.source.field_mapping.items()}
        return point_in_time_join.OrdinaryView(
            path=path,
            timestamp=self.source.timestamp_field,
            created=self.source.created_timestamp_column or None,
            keys={old_name.get(theirs, theirs): ours for theirs, ours in self.join_keys.items()},
            features={old_name.get(feature, feature): name for feature, name in self.output_columns.items()},
            time_to_live=self.view.ttl,
        )


def join_view(
    view: FeatureView,
    feature_refs: Sequence[str],
    rows: EntityRows,
    repo_path: Path | None,
    full_feature_names: bool,
    by_created: bool,
) -> JoinedView:
    """The view's requested features for the entity rows.

    Raises:
        FeastEntityDFMissingColumnsError: the rows lack a join key.
        EventTableError: the event table is missing, lacks a column or is not sorted.
    """
    asked = RequestedView(view, feature_refs, full_feature_names)
    rows.require(list(asked.join_keys.values()))
    path, sequence = parquet_path(repo_path, asked.source), sequence_view_of(asked.source)
    if sequence is not None:
        (user_column,) = asked.join_keys.values()
        return _JoinedSequences(rows, user_column, asked.output_columns, sequence, path, view)
    return _JoinedTable(point_in_time_join.join(rows.table, asked.to_ordinary_view(path), by_created))


class _JoinedTable:
    max_list_elements = 0

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.fields = list(table.schema)

    def columns(self, start: int, length: int) -> list[pa.Array | pa.ChunkedArray]:
        return list(self._table.slice(start, length).columns)


class _JoinedSequences:
    def __init__(
        self,
        rows: EntityRows,
        user_column: str,
        names: dict[str, str],
        sequence: SequenceView,
        path: str,
        view: FeatureView,
    ) -> None:
        self._reader = BlockReader(path, sequence, list(names), rows.text(user_column), view.ttl)
        self._times_us = rows.times_us
        self.fields = [pa.field(name, kind) for name, kind in zip(names.values(), self._reader.types, strict=True)]
        self.max_list_elements = sequence.length * len(names)

    def columns(self, start: int, length: int) -> list[pa.Array | pa.ChunkedArray]:
        return list(self._reader.read(start, self._times_us[start : start + length]))


def sequence_view_of(source: DataSource | None) -> SequenceView | None:
    """The sequence view that a source stands for; None for an ordinary source."""
    text = source.tags.get(SEQUENCE_TAG) if source is not None else None
    return SequenceView.from_json(text) if text else None


def is_parquet(source: DataSource | None) -> bool:
    """Whether a source is Parquet on this machine, or a mart on object storage."""
    return (
        isinstance(source, FileSource)
        and ("://" not in source.path or object_store.is_mart(settings.load_settings(), source.path))
        and (
            isinstance(source.file_format, ParquetFormat)
            or (source.file_format is None and source.path.endswith(".parquet"))
        )
    )


def parquet_path(repo_path: Path | None, source: FileSource) -> str:
    """Where a source lies, as DuckDB reads it: a file, or every Parquet file below a folder."""
    path = Path(source_path(repo_path, source))
    return str(path / "**" / "*.parquet") if path.is_dir() else str(path)


def source_path(repo_path: Path | None, source: DataSource) -> str:
    """Where a source lies: a file or a folder; of a mart on object storage, the copy of it."""
    assert isinstance(source, FileSource)  # noqa: S101 - sequences are tagged file sources
    if "://" in source.path and object_store.is_mart(current := settings.load_settings(), source.path):
        return str(object_store.fetch_mart(current, source.path))
    return str(FileSource.get_uri_for_file_path(repo_path=repo_path, uri=source.path))


def localize_source(repo_path: Path | None, source: DataSource) -> DataSource:
    """A source as Feast's own DuckDB store can read it: a mart on object storage by its copy, any other as it is."""
    if not isinstance(source, FileSource) or "://" not in source.path or not is_parquet(source):
        return source
    copied: FileSource = FileSource.from_proto(source.to_proto())
    copied.file_options.uri = source_path(repo_path, source)
    return copied
