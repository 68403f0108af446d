"""dbt builds a log that exceeds its memory limit."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from ingestion.land import land
from research.data.landing import FORMATS
from tests.support.landing_zone import built

EVENTS = 100_000


def test_build_spills_to_disk_if_memory_is_exceeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: after a spill DuckDB rejects setting temp_directory again, which every new connection did."""
    monkeypatch.setenv("SEGUE_DBT_MEMORY", "60MB")
    (tmp_path / "log").mkdir()
    FORMATS["own_events"](tmp_path / "log", EVENTS)
    land(tmp_path / "log", tmp_path)
    built(tmp_path, "--select", "+int_events_deduplicated", as_of="2009-03-02")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        assert warehouse.sql("select count(*) from int_events_deduplicated").fetchone() == (EVENTS,)
