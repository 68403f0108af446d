"""A Feast retrieval job that is computed in chunks, so that its result does not have to fit in memory.

Independent of the engine: `save_dataset` is also used by the job on Spark.
"""

# ruff: noqa: ARG002 - the signatures are Feast's

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from sequences.offline.joined_views import is_remote, local_path
from storage.files import open_draft

DATASET_FILE = "features.parquet"
"""Name of the file in the folder of a saved dataset."""


class SequenceRetrievalJob(RetrievalJob):
    """Feast's `RetrievalJob` plus the streaming methods `to_batches` and `to_parquet`.

    Args:
        schema: Schema of the result.
        read_chunks: Starts a new iteration over the chunks of the result.
        full_feature_names: Whether feature columns are prefixed with the name of their view.
        on_demand_feature_views: Transformations that Feast applies after the join.
        metadata: Features, keys and times of the request.
        staging_location: Local folder for `to_remote_storage`.
        repo_path: Folder at which relative paths of saved datasets start.
    """

    def __init__(
        self,
        schema: pa.Schema,
        read_chunks: Callable[[], Iterator[pa.RecordBatch]],
        full_feature_names: bool,
        on_demand_feature_views: list[OnDemandFeatureView],
        metadata: RetrievalMetadata | None,
        staging_location: str | None = None,
        repo_path: Path | None = None,
    ) -> None:
        self._schema = schema
        self._read_chunks = read_chunks
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views
        self._metadata = metadata
        self._staging_location = staging_location
        self._repo_path = repo_path

    def to_batches(self) -> pa.RecordBatchReader:
        """The result as a stream, in the order of the entity rows; on-demand views are not applied."""
        return pa.RecordBatchReader.from_batches(self._schema, self._read_chunks())

    def to_parquet(self, path: Path | str) -> int:
        """Write the result chunk by chunk and return the number of rows; on-demand views are not applied.

        The file is renamed into place when it is complete.
        """
        rows, path = 0, Path(path)
        with open_draft(path) as draft, pq.ParquetWriter(draft, self._schema) as file:
            for chunk in self._read_chunks():
                file.write_batch(chunk)
                rows += chunk.num_rows
        return rows

    def supports_remote_storage_export(self) -> bool:
        """Whether the offline store has a `staging_location`."""
        return self._staging_location is not None

    def to_remote_storage(self) -> list[str]:
        """Stream the result into a new Parquet file in the staging location and return its path.

        Raises:
            ValueError: The offline store has no `staging_location`, or it is not a local folder.
        """
        if self._staging_location is None or "://" in self._staging_location:
            raise ValueError(
                f"cannot stage to {self._staging_location!r}; set a local folder as offline_store.staging_location"
            )
        folder = Path(self._staging_location) / uuid4().hex
        folder.mkdir(parents=True)
        self._write(folder / "features.parquet")
        return [str(folder / "features.parquet")]

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Stream the result to a Parquet file or folder, see `save_dataset`."""
        save_dataset(storage, self._repo_path, allow_overwrite, self._write)

    def to_sql(self) -> str:
        """Not available.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "the features are read from Parquet files in chunks, not by one SQL statement; use to_arrow() or to_batches()"
        )

    @property
    def full_feature_names(self) -> bool:
        """Whether feature columns are prefixed with the name of their view."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """Transformations that Feast applies after the join."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """Features, keys and times of the request."""
        return self._metadata

    def _write(self, path: Path) -> None:
        # Feast applies on-demand views only to a whole table.
        if self._on_demand_feature_views:
            pq.write_table(self.to_arrow(), path)
        else:
            self.to_parquet(path)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self.to_batches().read_all()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()


def save_dataset(
    storage: SavedDatasetStorage, repo_path: Path | None, allow_overwrite: bool | None, write: Callable[[Path], Any]
) -> None:
    """Write a saved dataset to the file or folder of its storage; missing parent folders are created.

    A path that ends with `.parquet` is a file, any other a folder with one file, unless it exists.

    Args:
        storage: Where to write; a path or a `file://` URI, relative to `repo_path`.
        repo_path: Folder of the feature repository.
        allow_overwrite: Whether the file or folder may exist.
        write: Writes the result to a path.

    Raises:
        ValueError: The storage is not a local Parquet file or folder.
        SavedDatasetLocationAlreadyExists: It exists, and `allow_overwrite` is False.
    """
    if not isinstance(storage, SavedDatasetFileStorage) or is_remote(storage.file_options.uri):
        raise ValueError(
            f"cannot persist to {storage!r}; use SavedDatasetFileStorage(path=…) with a path on this machine"
        )
    path = local_path(repo_path, storage.file_options.uri)
    if path.exists() and not allow_overwrite:
        raise SavedDatasetLocationAlreadyExists(location=str(path))
    is_folder = path.is_dir() or (path.suffix != ".parquet" and not path.exists())
    with open_draft(path / DATASET_FILE if is_folder else path) as draft:
        write(draft)
