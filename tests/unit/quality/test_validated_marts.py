"""After a validation that passed, only what was published since is validated, and metrics over time are those of all rows."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from quality import suites, table_metrics, tables
from quality.engine import DuckDBEngine
from quality.validated_marts import ValidatedMarts, add_changes
from tests.support.published_changes import Row, publish_changes, publish_whole

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("ended_at", pa.timestamp("us")),
        ("action", pa.string()),
        ("played_ms", pa.int64()),
    ]
)
AS_OF = date(2026, 6, 20)


def _rows(days: range, seed: int) -> list[Row]:
    source = random.Random(seed)
    return [
        {
            "event_id": f"{day}-{number}",
            "ended_at": datetime(2026, 6, 1) + timedelta(days=day, seconds=number),
            "action": source.choice(["play", "play", "like"]),
            "played_ms": source.choice([None, 10_000, 70_000, 900_000]),
        }
        for day in days
        for number in range(20)
    ]


@pytest.fixture
def rows() -> list[Row]:
    return _rows(range(18), 0)


def _validated(home: Path, as_of: date = AS_OF) -> ValidatedMarts:
    return ValidatedMarts(home / "validated.json", as_of)


def _record(home: Path, engine: DuckDBEngine) -> None:
    table = tables.mart_table(engine, home, "events", "ended_at")
    validated = _validated(home)
    counts = table_metrics.count_days(engine, table.source)
    validated.record(home, "events", None, table_metrics.newest_end(engine, table.source), counts)
    validated.save()


def test_metrics_after_changes_equal_those_of_all_rows(
    tmp_path: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_metrics, "MIN_WEEK_EVENTS", 100)
    engine = DuckDBEngine()
    publish_whole(tmp_path, "events", rows, SCHEMA, "1")
    _record(tmp_path, engine)
    late = [rows[230] | {"event_id": "late", "action": "like"}]
    changed = [*rows[:200], *(row | {"played_ms": 5_000} for row in rows[200:210]), *rows[215:], *late]
    publish_changes(tmp_path, "events", rows, changed, SCHEMA, ("event_id",), "2")
    grown = changed + _rows(range(18, 19), 1)
    publish_changes(tmp_path, "events", changed, grown, SCHEMA, ("event_id",), "3")

    known, files = _validated(tmp_path, AS_OF + timedelta(days=1)).find_changes(tmp_path, "events") or (None, ())
    assert known is not None and len(files) == 2
    newest, counts = add_changes(engine, known, files) or (None, {})
    whole = tables.mart_table(engine, tmp_path, "events", "ended_at")
    assert newest == table_metrics.newest_end(engine, whole.source)
    end = AS_OF + timedelta(days=1)
    expected = table_metrics.trailing_week_metrics(table_metrics.count_days(engine, whole.source), end)
    assert table_metrics.trailing_week_metrics(counts, end) == expected
    assert expected.values["action_drift"] and expected.values["length_drift"]
    read = tables.changed_rows(engine, whole, files, {"event_id"})
    (number,) = engine.first_row(f"select count(*) from {read.source}") or (0,)
    assert number == 10 + 1 + 20, "rows that were computed again, a late one and those of the new day"
    engine.close()


def test_all_rows_are_validated_if_the_newest_was_deleted(tmp_path: Path, rows: list[Row]) -> None:
    engine = DuckDBEngine()
    publish_whole(tmp_path, "events", rows, SCHEMA, "1")
    _record(tmp_path, engine)
    publish_changes(tmp_path, "events", rows, rows[:-1], SCHEMA, ("event_id",), "2")
    known, files = _validated(tmp_path).find_changes(tmp_path, "events") or (None, ())
    assert known is not None and add_changes(engine, known, files) is None
    engine.close()


def test_all_rows_are_validated_weekly_and_after_whatever_is_not_a_change(
    tmp_path: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DuckDBEngine()
    publish_whole(tmp_path, "events", rows[:-1], SCHEMA, "1")
    assert _validated(tmp_path).find_changes(tmp_path, "events") is None, "it was never validated"
    _record(tmp_path, engine)
    assert _validated(tmp_path).find_changes(tmp_path, "events") is None, "nothing has changed"
    publish_changes(tmp_path, "events", rows[:-1], rows, SCHEMA, ("event_id",), "2")
    days = [
        day
        for day in range(-1, 9)
        if _validated(tmp_path, AS_OF + timedelta(days=day)).find_changes(tmp_path, "events")
    ]
    assert days == [0, 1, 2, 3, 4, 5, 6]
    failed = _validated(tmp_path)
    failed.forget("events")
    failed.save()
    assert _validated(tmp_path).find_changes(tmp_path, "events") is None, "its last validation failed"
    _record(tmp_path, engine)
    assert _validated(tmp_path).find_changes(tmp_path, "events") is None, "nothing has changed"
    publish_whole(tmp_path, "events", rows, SCHEMA, "7")
    assert _validated(tmp_path).find_changes(tmp_path, "events") is None, "it was built from all events"
    _record(tmp_path, engine)
    publish_changes(tmp_path, "events", rows, rows[:9], SCHEMA, ("event_id",), "8")
    assert _validated(tmp_path).find_changes(tmp_path, "events")
    monkeypatch.setattr(suites, "__file__", __file__)
    assert _validated(tmp_path).find_changes(tmp_path, "events") is None, "the suites have changed"
    engine.close()
