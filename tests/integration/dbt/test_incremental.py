"""Incremental builds give the same marts as one full build over the landing zone."""

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


def test_late_duplicate_and_erased_rows_give_the_result_of_a_full_build(tmp_path: Path) -> None:
    home, whole = tmp_path / "grown", tmp_path / "whole"
    for folder in (home, whole):
        write_empty_tables(folder)
        write(folder, "listening_events", "2026-06-02", "a", plays("u", 0, 20, 1_500))
    erased = write(home, "listening_events", "2026-06-03", "b", plays("w", 0, 5, 3_000) + plays("v", 0, 5, 3_000))
    assert build(home, as_of="2026-06-04").returncode == 0
    # Erasure of a user replaces the file with their rows.
    erased.unlink()
    for folder in (home, whole):
        write(folder, "listening_events", "2026-06-03", "b2", plays("v", 0, 5, 3_000))
        # Late events in a partition that was built before, and duplicates.
        write(folder, "listening_events", "2025-01", "late", plays("u", 100, 3, 1_502))
        write(folder, "listening_events", "2026-06-08", "again", plays("u", 0, 20, 1_500) + plays("u", 200, 4, 10_100))
    assert build(home).returncode == 0
    assert build(whole).returncode == 0
    assert marts(home) == marts(whole)
    assert len(marts(home)["plays.parquet"]) == 20 + 5 + 3 + 4


def test_table_without_partitions_is_rebuilt(tmp_path: Path) -> None:
    write_empty_tables(tmp_path)
    write(tmp_path, "listening_events", "2026-06-02", "a", plays("u", 0, 20, 1_500))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute(
            "create table stg_listening_events as select 'x' as event_id, 'dt=2026-06-02/x' as landed_file"
        )
    assert build(tmp_path).returncode == 0
    assert len(marts(tmp_path)["plays.parquet"]) == 20
