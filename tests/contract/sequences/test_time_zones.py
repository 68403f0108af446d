"""The point-in-time join does not depend on the time zone of the process.

In processes of their own, because DuckDB reads the time zone once. `tests/integration/sequences/offline/test_time_zones.py`
runs all cases of the offline store in them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.support.pipeline_commands import run_to_end

JOIN = """
import json, sys
from datetime import UTC, datetime, timedelta
import pyarrow as pa
import pyarrow.parquet as pq
from sequences.offline.point_in_time_join import ROW, TIME, OrdinaryView, join

start = datetime(2024, 3, 9, tzinfo=UTC)  # two days with a change of the clock in America
hours = [start + timedelta(hours=hour) for hour in range(48)]
for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us", "Asia/Tokyo"), pa.timestamp("ms"), pa.string()):
    known = pa.array([str(hour) for hour in hours]) if pa.types.is_string(kind) else pa.array(hours, kind)
    pq.write_table(pa.table({"id": ["a"] * 48, "known": known, "hour": range(48)}), sys.argv[1])
    entities = pa.table({
        ROW: range(48), "id": ["a"] * 48,
        TIME: pa.array([(hour - timedelta(minutes=30)).replace(tzinfo=None) for hour in hours], pa.timestamp("us")),
    })
    for created, by_created in ((None, False), ("known", False), ("known", True)):
        view = OrdinaryView(sys.argv[1], "known", created, {"id": "id"}, {"hour": "hour"}, timedelta(hours=3))
        print(json.dumps(join(entities, view, by_created)["hour"].to_pylist()))
"""


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/Los_Angeles"])
def test_join_does_not_depend_on_the_time_zone(tmp_path: Path, zone: str) -> None:
    """A row half an hour before each value gets the previous one."""
    printed = run_to_end([sys.executable, "-c", JOIN, str(tmp_path / "file.parquet")], {**os.environ, "TZ": zone})
    assert [json.loads(line) for line in printed.splitlines()] == [[None, *range(47)]] * 12
