"""The conformance cases of the offline store on Spark, in a session with another time zone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.contract.sequences.test_feast_retrieval import RetrievalCases
from tests.contract.sequences.test_feast_writing import WritingCases
from tests.contract.sequences.test_point_in_time_join import PointInTimeCases
from tests.support import spark
from tests.support.sequences.driver_stats import moment, rows_of
from tests.support.sequences.feast_stores import SPARK

pytestmark = [spark.needs_spark]


@pytest.fixture(scope="module", autouse=True)
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with spark.session(tmp_path_factory.mktemp("spark")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _time_zone(session: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything runs in Los Angeles: a session that a user has opened has the time zone of the process."""
    before = session.conf.get("spark.sql.session.timeZone")
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    session.conf.set("spark.sql.session.timeZone", "America/Los_Angeles")
    yield
    monkeypatch.undo()
    time.tzset()
    session.conf.set("spark.sql.session.timeZone", before)


class TestSpark(RetrievalCases, WritingCases, PointInTimeCases):
    """The cases on Spark."""

    engine = SPARK

    @pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
    def test_other_time_zones_of_the_session(self, folder: Path, session: Any, zone: str) -> None:
        session.conf.set("spark.sql.session.timeZone", zone)
        assert self.trips(self.open_store(folder), rows_of(1, 0.5, 2.5, 4.5)) == [None, 0, 1]

    def test_rows_of_a_spark_frame(self, folder: Path, session: Any) -> None:
        """As for a data frame of pandas: null times, float keys, numbers as times, names of features."""
        store = self.open_store(folder)
        rows = pd.DataFrame({"driver_id": [1.0, 1.0, None], "event_timestamp": [moment(2), None, moment(2)]})
        rows["event_timestamp"] = pd.to_datetime(rows["event_timestamp"], utc=True)
        frame = session.createDataFrame(rows)
        assert sorted(self.trips(store, frame), key=str) == [0, None, None]
        for column, match in (("cast(1 as bigint) as event_timestamp", "convert it"), ("1 as trips", "'trips'")):
            time_column = "" if "event_timestamp" in column else ", timestamp '2024-01-01' as event_timestamp"
            with pytest.raises(ValueError, match=match):
                self.trips(store, f"select 1 as driver_id, {column}{time_column}")
