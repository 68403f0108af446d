"""Spark with tables on object storage builds the same marts as DuckDB with local tables."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from config import settings
from ingestion.land import land
from storage import object_store
from tests.integration.dbt.test_spark_marts import assert_equal_tables
from tests.support import spark
from tests.support.landing_zone import built
from tests.support.log_sources import event, json_lines
from tests.support.pipeline_commands import command
from tests.support.tiers import acceptance_only

pytestmark = [spark.needs_spark, acceptance_only, pytest.mark.timeout(1800)]

AS_OF = date(2026, 7, 1)
MARTS = ("events", "plays", "tracks", "user_profiles")


@pytest.fixture
def on_spark(here: settings.Settings, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    for name, value in spark.environment(here.home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SEGUE_TABLES", here.tables_url)
    return here.model_copy(update={"engine": "spark", "spark_master": "local[2]", "spark_memory": "1g"})


def played(day: int, minute: int) -> dict[str, Any]:
    ended = f"2026-06-{28 + day}T10:{minute:02d}:40Z"
    columns = {"occurred_at": f"2026-06-{28 + day}T10:{minute:02d}:00Z", "ended_at": ended, "played_ms": 40_000}
    return event(minute, event_id=f"{day}-{minute}", user_id=f"u{minute % 2}", action="play", **columns)


def test_spark_builds_the_same_marts_from_a_bucket(on_spark: settings.Settings, tmp_path: Path) -> None:
    """Two builds with one more day each, so that the second one must refresh Spark's copies."""
    disk = tmp_path / "disk"
    for day in (1, 2):
        log = json_lines(tmp_path / f"day{day}" / "own.jsonl", [played(day, minute) for minute in range(9)])
        now = datetime(2026, 7, 1, 12, tzinfo=UTC)
        for home, tables in ((disk, disk), (on_spark.home, on_spark.tables)):
            land(log.parent, home, now=now, tables=tables)
        command(on_spark, "python", "-m", "quality.validate", "--as-of", str(AS_OF), "--stage", "landed")
        selected = ["--select", *(f"+{name}" for name in MARTS), "--exclude-resource-type", "test", "unit_test"]
        variables = json.dumps({"as_of": str(AS_OF)})
        command(on_spark, "dbt", "build", "--project-dir", "dbt", "--vars", variables, *selected)
        command(on_spark, "python", "-m", "local.publish_marts")
    built(disk, "--select", *(f"+{name}" for name in MARTS), as_of=str(AS_OF))
    copies = object_store.fetch_marts(on_spark)
    assert not (on_spark.home / "marts").exists() and not list(on_spark.built_marts.glob("*.parquet"))
    for name in MARTS:
        assert pq.read_metadata(disk / "marts" / f"{name}.parquet").num_rows > 0, name
        assert_equal_tables(copies / f"{name}.parquet", disk / "marts" / f"{name}.parquet")
