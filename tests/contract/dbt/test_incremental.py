"""However the landing zone came about, the marts are those of one full build over what it holds."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tests.support.landing_zone import build, event, write, write_empty_tables


def plays(user: str, first: int, number: int, end: float) -> list[dict[str, object]]:
    return [
        event(
            f"{user}{first + i}", user, "play", str(i % 3), end + 4 * i, played_ms=30_000 * (i % 5), sequence_number=i
        )
        for i in range(number)
    ]


def marts(home: Path) -> dict[str, list[tuple[object, ...]]]:
    return {path.name: duckdb.sql(f"select * from '{path}'").fetchall() for path in sorted((home / "marts").glob("*"))}


def test_late_duplicate_and_forgotten_rows_end_as_a_full_build(tmp_path: Path) -> None:
    home, whole = tmp_path / "grown", tmp_path / "whole"
    for folder in (home, whole):
        write_empty_tables(folder)
        write(folder, "listening_events", "2026-06-02", "a", plays("u", 0, 20, 1_500))
    forgotten = write(home, "listening_events", "2026-06-03", "b", plays("w", 0, 5, 3_000) + plays("v", 0, 5, 3_000))
    assert build(home, as_of="2026-06-04").returncode == 0
    # A user is forgotten: their rows' file is replaced by one without them.
    forgotten.unlink()
    for folder in (home, whole):
        write(folder, "listening_events", "2026-06-03", "b2", plays("v", 0, 5, 3_000))
        # An event that is late by days, for a user and a partition that were built long ago, and one landed again.
        write(folder, "listening_events", "2025-01", "late", plays("u", 100, 3, 1_502))
        write(folder, "listening_events", "2026-06-08", "again", plays("u", 0, 20, 1_500) + plays("u", 200, 4, 10_100))
    assert build(home).returncode == 0
    assert build(whole).returncode == 0
    assert marts(home) == marts(whole)
    assert len(marts(home)["plays.parquet"]) == 20 + 5 + 3 + 4


def test_a_table_from_before_partitions_is_made_anew(tmp_path: Path) -> None:
    write_empty_tables(tmp_path)
    write(tmp_path, "listening_events", "2026-06-02", "a", plays("u", 0, 20, 1_500))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute(
            "create table stg_listening_events as select 'x' as event_id, 'dt=2026-06-02/x' as landed_file"
        )
    assert build(tmp_path).returncode == 0
    assert len(marts(tmp_path)["plays.parquet"]) == 20
