"""Tables to validate contain the pending changes of a mart."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa

from quality import table_metrics, tables
from quality.engine import DuckDBEngine
from tests.support.published_changes import Row, publish_changes, publish_whole

SCHEMA = pa.schema([("event_id", pa.string()), ("known_at", pa.timestamp("us"))])


def test_recent_rows_contain_pending_changes(tmp_path: Path) -> None:
    old, removed, new = (
        {"event_id": name, "known_at": datetime(2026, month, day)}
        for name, month, day in (("old", 1, 1), ("removed", 3, 1), ("new", 3, 2))
    )
    before: list[Row] = [old, removed]
    publish_whole(tmp_path, "events", before, SCHEMA, "1")
    publish_changes(tmp_path, "events", before, [old, new, old | {"event_id": "late"}], SCHEMA, ("event_id",), "2")
    engine = DuckDBEngine()
    table = tables.mart_table(engine, tmp_path, "events", "known_at")
    assert table_metrics.duplicate_keys(engine, table, ("known_at",)) == 1, "of old and late"
    recent = tables.recent_rows(engine, table, {"event_id", "missing"})
    assert list(engine.newest_rows(recent.source, {"event_id"}, "known_at", {})["event_id"]) == ["new"]
    engine.close()
