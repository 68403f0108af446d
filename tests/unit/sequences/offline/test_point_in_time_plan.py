"""DuckDB's plan of the point-in-time join: a sort-merge join, not a nested loop."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa

from sequences.offline.point_in_time_join import ROW, TIME, OrdinaryView, as_of_sql, column_types, connect, join

VIEW = {
    "timestamp": "at",
    "created": None,
    "keys": {"user_id": "user_id"},
    "features": {"n": "n"},
    "time_to_live": None,
}
DAY = datetime(2026, 6, 1)


def test_join_plan_has_no_nested_loop(tmp_path: Path) -> None:
    users, days = 50, 4
    rows = [(f"u{user}", DAY + timedelta(days=day), day) for user in range(users) for day in range(days)]
    pl.DataFrame(rows, schema=["user_id", "at", "n"], orient="row").write_parquet(tmp_path / "n.parquet")
    view = OrdinaryView(path=str(tmp_path / "n.parquet"), **VIEW)
    queries = [(f"u{user}", DAY + timedelta(days=day, hours=1)) for user in range(users) for day in range(-1, days)]
    entities = pa.table(
        {ROW: range(len(queries)), TIME: [time for _, time in queries], "user_id": [user for user, _ in queries]}
    )
    with connect(entities, view) as connection:
        sql = as_of_sql(view, column_types(connection, view))
        plan = connection.execute(f"explain {sql}", [view.path]).fetchall()[0][1]
    assert "ASOF_JOIN" in plan and "LOOP" not in plan
    values = join(entities, view)["n"].to_pylist()
    assert values == [day if day >= 0 else None for _ in range(users) for day in range(-1, days)]
