"""Builds over a warehouse that cannot be continued. Equality with a build from all events: test_daily_builds.py."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.support.landing_zone import build, built, event, write, write_empty_tables


def plays(user: str, first: int, number: int, end: float) -> list[dict[str, object]]:
    return [
        event(
            f"{user}{first + i}", user, "play", str(i % 3), end + 4 * i, played_ms=30_000 * (i % 5), sequence_number=i
        )
        for i in range(number)
    ]


def marts(home: Path) -> dict[str, list[tuple[object, ...]]]:
    return {path.name: duckdb.sql(f"select * from '{path}'").fetchall() for path in sorted((home / "marts").glob("*"))}


@pytest.fixture(autouse=True)
def _tables(tmp_path: Path) -> None:
    write_empty_tables(tmp_path)


def test_table_without_partitions_is_rebuilt(tmp_path: Path) -> None:
    write(tmp_path, "listening_events", "2026-06-02", "a", plays("u", 0, 20, 1_500))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute(
            "create table stg_listening_events as select 'x' as event_id, 'dt=2026-06-02/x' as landed_file"
        )
    assert build(tmp_path).returncode == 0
    assert len(marts(tmp_path)["plays.parquet"]) == 20


def test_a_late_event_costs_its_user_only(tmp_path: Path) -> None:
    # With lengths: an estimated one changes with every play.
    write(tmp_path, "tracks", "2026-06-01", "a", [{"track_id": str(n), "duration_ms": 100_000} for n in range(3)])
    write(tmp_path, "listening_events", "2026-06-02", "a", plays("u", 0, 20, 1_500) + plays("v", 0, 20, 1_500))
    write(tmp_path, "listening_events", "2026-06-09", "b", plays("u", 20, 5, 11_600) + plays("v", 20, 5, 11_600))
    built(tmp_path)
    rows = "from events where user_id = 'v' or ended_at < '2026-06-02 12:00' order by event_id"
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        before = warehouse.sql(rows).fetchall()
    write(tmp_path, "listening_events", "2026-06-03", "late", plays("u", 50, 1, 3_000))
    built(tmp_path)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        assert warehouse.sql("from int_changed_users").fetchall() == [("u", date(2026, 6, 3))]
        assert warehouse.sql(rows).fetchall() == before
        assert warehouse.sql("select count(*) from events where user_id = 'u'").fetchall() == [(26,)]


def test_a_lost_session_of_the_week_before_fails_a_build(tmp_path: Path) -> None:
    write(tmp_path, "tracks", "2026-06-01", "a", [{"track_id": str(n), "duration_ms": 100_000} for n in range(3)])
    write(tmp_path, "listening_events", "2026-06-02", "a", plays("u", 0, 100, 1_500))
    write(tmp_path, "listening_events", "2026-06-05", "b", plays("u", 100, 5, 5_900))
    built(tmp_path)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute("delete from sessions where session_id = 'u-2'")
    write(tmp_path, "listening_events", "2026-06-09", "c", plays("u", 105, 1, 11_600))
    run = build(tmp_path, tests="relationships_plays_session_id")
    assert "built from all events" not in run.stdout
    assert run.returncode != 0
    assert "relationships_plays_session_id" in run.stdout


def test_a_build_after_a_failed_one_computes_everything(tmp_path: Path) -> None:
    write(tmp_path, "listening_events", "2026-06-02", "a", plays("u", 0, 20, 1_500))
    assert "built from all events" in build(tmp_path).stdout
    write(tmp_path, "listening_events", "2026-06-02", "b", plays("u", 20, 3, 1_600))
    assert "built from all events" not in build(tmp_path).stdout
    before = marts(tmp_path)
    bad = write(tmp_path, "listening_events", "2026-06-06", "bad", [event("z", "u", "hum", "1", 200)])
    run = build(tmp_path, tests="relationships_events_behavior")
    assert run.returncode != 0 and "relationships_events_behavior" in run.stdout
    assert marts(tmp_path) == before
    bad.unlink()
    assert "built from all events" in build(tmp_path).stdout
    assert len(marts(tmp_path)["plays.parquet"]) == 23
