"""dbt builds a log that exceeds its memory limit."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from benchmarks.data import synthetic_log
from tests.support.landing_zone import built

EVENTS = 100_000


def test_build_spills_to_disk_if_memory_is_exceeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: after a spill DuckDB rejects setting temp_directory again, which every new connection did."""
    monkeypatch.setenv("SEGUE_DBT_MEMORY", "60MB")
    written = synthetic_log.write_landing_zone(tmp_path, synthetic_log.LogSize(EVENTS))
    built(tmp_path, "--select", "+int_events_deduplicated", as_of=synthetic_log.AS_OF)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        assert warehouse.sql("select count(*) from int_events_deduplicated").fetchone() == (written,)
