"""Builds over a warehouse that cannot be continued. Equality with a build from all events: test_daily_builds.py."""

from __future__ import annotations

import shutil
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


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after a build of two days of two users."""
    home = tmp_path_factory.mktemp("built")
    write_empty_tables(home)
    # With lengths: an estimated one changes with every play.
    write(home, "tracks", "2026-06-01", "a", [{"track_id": str(n), "duration_ms": 100_000} for n in range(3)])
    write(home, "listening_events", "2026-06-02", "a", plays("u", 0, 100, 1_500) + plays("v", 0, 20, 1_500))
    write(home, "listening_events", "2026-06-05", "b", plays("u", 100, 5, 5_900) + plays("v", 20, 5, 5_900))
    assert "built from all events" in build(home).stdout
    return home


@pytest.fixture
def home(built_once: Path, tmp_path: Path) -> Path:
    """A copy of the built home."""
    return Path(shutil.copytree(built_once, tmp_path / "home"))


def test_table_without_partitions_is_rebuilt(tmp_path: Path) -> None:
    write_empty_tables(tmp_path)
    write(tmp_path, "listening_events", "2026-06-02", "a", plays("u", 0, 20, 1_500))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute(
            "create table stg_listening_events as select 'x' as event_id, 'dt=2026-06-02/x' as landed_file"
        )
    assert build(tmp_path).returncode == 0
    assert len(marts(tmp_path)["plays.parquet"]) == 20


def test_a_late_event_costs_its_user_only(home: Path) -> None:
    rows = "from events where user_id = 'v' or ended_at < '2026-06-02 12:00' order by event_id"
    with duckdb.connect(str(home / "warehouse.duckdb")) as warehouse:
        before = warehouse.sql(rows).fetchall()
    write(home, "listening_events", "2026-06-03", "late", plays("u", 105, 1, 3_000))
    built(home)
    with duckdb.connect(str(home / "warehouse.duckdb")) as warehouse:
        assert warehouse.sql("from int_changed_users").fetchall() == [("u", date(2026, 6, 3))]
        assert warehouse.sql(rows).fetchall() == before
        assert warehouse.sql("select count(*) from events where user_id = 'u'").fetchall() == [(106,)]


def test_a_lost_session_of_the_week_before_fails_a_build(home: Path) -> None:
    with duckdb.connect(str(home / "warehouse.duckdb")) as warehouse:
        warehouse.execute("delete from sessions where session_id = 'u-2'")
    write(home, "listening_events", "2026-06-09", "c", plays("u", 105, 1, 11_600))
    run = build(home, tests="relationships_plays_session_id")
    assert "built from all events" not in run.stdout
    assert run.returncode != 0
    assert "relationships_plays_session_id" in run.stdout


def test_a_build_after_a_failed_one_computes_everything(home: Path) -> None:
    write(home, "listening_events", "2026-06-02", "b", plays("u", 105, 3, 1_600))
    assert "built from all events" not in build(home).stdout
    before = marts(home)
    bad = write(home, "listening_events", "2026-06-06", "bad", [event("z", "u", "hum", "1", 200)])
    run = build(home, tests="relationships_events_behavior")
    assert run.returncode != 0 and "relationships_events_behavior" in run.stdout
    assert marts(home) == before
    bad.unlink()
    assert "built from all events" in build(home).stdout
    assert len(marts(home)["plays.parquet"]) == 133
