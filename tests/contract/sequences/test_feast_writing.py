"""Conformance of writing with Feast: saved datasets, rows for the offline store, and materialization.

Like `test_feast_retrieval.py`, and run by the same modules on Spark and in other time zones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

from tests.support.sequences.driver_stats import DriverStatsCases, moment, rows_of, stats
from tests.support.sequences.feast_stores import DUCKDB


def fail(*_: Any, **__: Any) -> None:
    """Stand for a full disk."""
    raise OSError("the disk is full")


class WritingCases(DriverStatsCases):
    """The cases; a subclass selects the engine."""

    # Saved datasets

    def saved(self, store: Any, path: str, name: str = "saved", overwrite: bool = True) -> pd.DataFrame:
        job = store.get_historical_features(rows_of(1, 2, 4), ["driver_stats:trips"])
        storage = SavedDatasetFileStorage(path=path)
        store.create_saved_dataset(from_=job, name=name, storage=storage, allow_overwrite=overwrite)
        found = store.get_saved_dataset(name).to_df()
        assert pd.to_datetime(found["event_timestamp"], utc=True).tolist() == [moment(2), moment(4)]
        return found

    def test_persist_to_an_existing_folder(self, folder: Path) -> None:
        """`test_historical_features_persisting` persists to a folder that `mkdtemp` made."""
        store, target = self.open_store(folder), folder / "target"
        target.mkdir()
        with pytest.raises(SavedDatasetLocationAlreadyExists):
            self.saved(store, str(target), overwrite=False)
        for _ in range(2):  # the second one replaces the first
            assert self.saved(store, str(target))["trips"].tolist() == [0, 1]
        assert [file.name for file in target.iterdir()] == ["features.parquet"]

    def test_persist_beside_files_of_others_is_refused(self, folder: Path) -> None:
        """Feast's store adds its file; both would be read as one dataset."""
        store = self.open_store(folder)
        (folder / "target" / "part").mkdir(parents=True)
        pq.write_table(stats([1]), folder / "target" / "part" / "of_others.parquet")
        with pytest.raises(ValueError, match=r"other Parquet files \(of_others.parquet\)"):
            self.saved(store, str(folder / "target"))

    def test_a_failed_persist_keeps_the_previous_dataset(self, folder: Path) -> None:
        """Reads fail while the result is written."""
        store, path = self.open_store(folder), folder / "saved.parquet"
        assert self.saved(store, str(path))["trips"].tolist() == [0, 1]
        before = path.read_bytes()
        job = store.get_historical_features(rows_of(1, 2, 4), ["driver_stats:trips"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pq.ParquetWriter, "write_batch", fail)
            patch.setattr(pq.ParquetWriter, "write_table", fail)
            with pytest.raises(OSError, match="disk is full"):
                job.persist(SavedDatasetFileStorage(path=str(path)), allow_overwrite=True)
        assert path.read_bytes() == before

    @pytest.mark.parametrize(
        "path",
        ["{folder}/new/parents/saved.parquet", "{folder}/new/folder", "file://{folder}/a%20b/saved.parquet", "relative.parquet"],
    )  # fmt: skip
    def test_persist_to_a_new_location(self, folder: Path, path: str) -> None:
        """`FileSource.get_uri_for_file_path`: a relative path starts at the repository; a folder if it is no `.parquet`."""
        store = self.open_store(folder)
        assert self.saved(store, path.format(folder=folder))["trips"].tolist() == [0, 1]
        written = {"{folder}/new/folder": "new/folder/features.parquet", "relative.parquet": "relative.parquet"}
        default = "a b/saved.parquet" if "%20" in path else "new/parents/saved.parquet"
        assert (folder / written.get(path, default)).is_file()
        with pytest.raises(SavedDatasetLocationAlreadyExists):
            self.saved(store, path.format(folder=folder), name="again", overwrite=False)

    def test_sequences_in_a_saved_dataset(self, folder: Path) -> None:
        store = self.open_store(folder)
        rows = pd.DataFrame({"user_id": ["1", "2"], "event_timestamp": [moment(9), moment(1)]})
        job = store.get_historical_features(rows, ["recent_events:event_id"])
        storage = SavedDatasetFileStorage(path=str(folder / "saved.parquet"))
        dataset = store.create_saved_dataset(from_=job, name="sequences", storage=storage)
        assert [list(ids) for ids in dataset.to_df()["event_id"]] == [["10", "11"], ["20"]]


class TestDuckDB(WritingCases):
    """The cases on DuckDB."""

    engine = DUCKDB
