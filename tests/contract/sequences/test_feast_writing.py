"""Conformance of writing with Feast: saved datasets, rows for the offline store, and materialization.

Like `test_feast_retrieval.py`, and run by the same modules on Spark and in other time zones.
"""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureView, Field
from feast.data_source import PushMode
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.types import Int64

from sequences.sequence_views import SequenceViewError
from tests.support.sequences.driver_stats import DriverStatsCases, moment, rows_of, stats
from tests.support.sequences.event_rows import at
from tests.support.sequences.feast_stores import DUCKDB


class WritingCases(DriverStatsCases):
    """The cases; a subclass selects the engine."""

    # Saved datasets

    def saved(self, store: Any, path: str, name: str = "saved", overwrite: bool = True) -> pd.DataFrame:
        job = store.get_historical_features(rows_of(1, 2, 4), ["driver_stats:trips"])
        store.create_saved_dataset(
            from_=job, name=name, storage=SavedDatasetFileStorage(path=path), allow_overwrite=overwrite
        )
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

    def test_a_failed_persist_keeps_the_previous_dataset(self, folder: Path) -> None:
        """Reads fail while the result is written."""
        store, path = self.open_store(folder), folder / "saved.parquet"
        assert self.saved(store, str(path))["trips"].tolist() == [0, 1]
        before = path.read_bytes()
        job = store.get_historical_features(rows_of(1, 2, 4), ["driver_stats:trips"])
        with pytest.MonkeyPatch.context() as patch:
            for name in ("write_batch", "write_table"):
                patch.setattr(pq.ParquetWriter, name, mock.Mock(side_effect=OSError("the disk is full")))
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

    # Writing to the offline store

    def test_rows_of_an_ordinary_view_are_appended(self, folder: Path) -> None:
        """`test_offline_write.py::test_writing_consecutively_to_offline_store` and `test_reorder_columns`."""
        store = self.open_store(folder, stats([1, 3]))
        store.write_to_offline_store("driver_stats", stats([5]).to_pandas())
        store.write_to_offline_store("driver_stats", stats([7]).to_pandas()[["trips", "event_timestamp", "driver_id"]])
        assert len(pq.read_table(folder / "stats.parquet")) == 4
        assert self.trips(store, rows_of(1, 2, 4, 6)) == [0, 1, 0]

    def test_push_to_an_ordinary_view(self, folder: Path) -> None:
        """`test_push_features_to_offline_store.py::test_push_features_and_read`, online and offline."""
        store = self.open_store(folder, stats([1]), is_pushable=True)
        store.push("driver_pushes", stats([2]).to_pandas().assign(trips=9), to=PushMode.ONLINE_AND_OFFLINE)
        assert self.trips(store, rows_of(1, 1.5, 2)) == [0, 9]
        assert store.get_online_features(["driver_stats:trips"], [{"driver_id": 1}]).to_dict()["trips"] == [9]

    def test_rows_of_a_sequence_view_are_refused(self, folder: Path) -> None:
        """`test_offline_write.py`: the event table must not be changed."""
        store, before = self.open_store(folder), (folder / "events.parquet").read_bytes()
        events = pq.read_table(folder / "events.parquet").to_pandas()
        with pytest.raises(SequenceViewError, match="'recent_events' cannot be written offline"):
            store.write_to_offline_store("recent_events", events)
        assert (folder / "events.parquet").read_bytes() == before

    # Materialization

    @pytest.mark.parametrize("latest", [True, False])
    def test_materialized_values_equal_the_joined_values(self, folder: Path, latest: bool) -> None:
        """`test_universal_materialization.py::test_universal_materialization_consistency`, with a mapped timestamp."""
        store = self.open_store(
            folder, stats([1, 3, 5], time="ts_1", ids=pa.array([1, 1, 2])), field_mapping={"ts_1": "event_timestamp"}
        )
        store.config.materialization_config.pull_latest_features = latest
        for end, expected in ((moment(2), [0, None]), (moment(6), [1, 2])):
            store.materialize(moment(0), end, feature_views=["driver_stats"])
            assert self.trips(store, pd.DataFrame({"driver_id": [1, 2], "event_timestamp": [end] * 2})) == expected
            online = store.get_online_features(["driver_stats:trips"], [{"driver_id": 1}, {"driver_id": 2}])
            assert online.to_dict()["trips"] == expected

    def test_a_user_without_events_has_the_same_features_online_as_offline(self, folder: Path) -> None:
        """User 9 is unknown, and nobody has later events; features of ordinary views are null."""
        store = self.open_store(folder)
        store.materialize(moment(0), moment(9))
        for features, full in (
            (["recent_events:event_id", "driver_stats:trips"], False),
            (["played_history:event_id", "recent_events:played_ratio"], True),
            (store.get_feature_service("recommender"), True),
        ):
            users = [{"user_id": user, "driver_id": 9} for user in ("1", "9")]
            online = store.get_online_features(features, users, full_feature_names=full).to_dict()
            rows = pd.DataFrame(users).assign(event_timestamp=[moment(9)] * 2)
            offline = store.get_historical_features(rows, features, full_feature_names=full).to_arrow().to_pydict()
            for name in online.keys() - {"user_id", "driver_id"}:
                assert repr(online[name]) == repr(offline[name]), name  # repr: NaN equals itself

    def test_a_view_without_entities_is_materialized(self, folder: Path) -> None:
        """Feast's DuckDB store does not add the key of such a view, unlike its Spark store."""
        store = self.open_store(folder)
        source = store.get_feature_view("driver_stats").batch_source
        store.apply(
            FeatureView(
                name="newest", schema=[Field(name="trips", dtype=Int64)], source=source, entities=[], ttl=timedelta(0)
            )
        )
        store.materialize(moment(0), moment(4), feature_views=["newest"])
        online = store.get_online_features(["newest:trips", "recent_events:event_id"], [{"user_id": "1"}])
        assert online.to_dict()["trips"] == [1]
        rows = pd.DataFrame({"event_timestamp": [moment(4)]})
        assert store.get_historical_features(rows, ["newest:trips"]).to_df()["trips"].tolist() == [1]

    def test_materialization_ends_exactly_at_the_end(self, folder: Path) -> None:
        """The end is exclusive to the microsecond for a sequence, in any time zone of the end."""
        end = at(7201).replace(tzinfo=UTC)  # the time of the second play
        store = self.open_store(folder)
        for tick, expected in ((0, ["10"]), (1, ["10", "11"])):
            ended = (end + timedelta(microseconds=tick)).astimezone(timezone(timedelta(hours=-8)))
            store.materialize(moment(0), ended, feature_views=["recent_events"])
            assert store.get_online_features(["recent_events:event_id"], [{"user_id": "1"}]).to_dict()["event_id"] == [
                expected
            ]


class TestDuckDB(WritingCases):
    """The cases on DuckDB."""

    engine = DUCKDB
