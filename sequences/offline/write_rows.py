"""Rows that Feast writes to the offline store: `write_to_offline_store`, and `push` with `to=PushMode.OFFLINE`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast.feature_view import FeatureView
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import RepoConfig

from sequences.offline.joined_views import is_parquet, is_remote, localize_source, sequence_view_of, source_path
from sequences.views import SequenceViewError


def append_rows(config: RepoConfig, view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None) -> None:
    """Append rows to the Parquet file of an ordinary view, as Feast's own DuckDB store does.

    Raises:
        SequenceViewError: The view is read from the event table, which must stay sorted and without duplicates.
        ValueError: The source of the view is not a Parquet file on this machine.
    """
    source = view.batch_source
    if sequence_view_of(source) is not None:
        raise SequenceViewError(
            f"view {view.name!r} cannot be written offline: it is read from the event table, which dbt builds from "
            "landed logs; land the events (`python -m ingestion.land`)"
        )
    if not isinstance(source, FileSource) or not is_parquet(source) or is_remote(source.path):
        raise ValueError(f"view {view.name!r} cannot be written offline: its source is not a Parquet file here")
    if (path := Path(source_path(config.repo_path, source))).is_dir():
        raise ValueError(f"view {view.name!r} is the folder {path}; write the rows to a further Parquet file in it")
    local_view = copy.copy(view)
    local_view.batch_source = localize_source(config.repo_path, source)
    DuckDBOfflineStore.offline_write_batch(config, local_view, table, progress)
