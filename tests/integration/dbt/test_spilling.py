"""A log that does not fit the memory that dbt has."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from benchmarks.data import synthetic_log
from tests.support.landing_zone import built

EVENTS = 100_000


def test_what_does_not_fit_into_memory_is_built_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB that has spilled refuses to be told again where to, which every new connection did."""
    monkeypatch.setenv("SEGUE_DBT_MEMORY", "60MB")
    written = synthetic_log.write_landing_zone(tmp_path, synthetic_log.LogSize(EVENTS))
    built(tmp_path, "--select", "stg_listening_events", "int_events_deduplicated", as_of=synthetic_log.AS_OF)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        assert warehouse.sql("select count(*) from int_events_deduplicated").fetchone() == (written,)
