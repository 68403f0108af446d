"""Erasure removes a user from published changes, and the marts stay consistent."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from config import settings
from privacy.marts import erase_marts
from storage.file_lock import file_lock
from storage.mart_changes import apply_changes, read_published, relation
from tests.support.published_changes import Row, publish_changes, publish_whole

LEFTOVERS = (
    "warehouse.spill/duckdb_temp_storage-0.tmp",
    "quality.spill/duckdb_temp_storage-0.tmp",
    "marts/.spill/duckdb_temp_storage-0.tmp",
    "marts/.plays.parquet.writing",
    "marts/tmp_plays.parquet",
    "marts/changes/plays/tmp_1-2.parquet",
)
SCHEMA = pa.schema([("user_id", pa.string()), ("play_number", pa.int64())])
KEY = ("user_id", "play_number")


def test_user_is_erased_from_whole_marts_and_changes(tmp_path: Path) -> None:
    here = settings.Settings(home=tmp_path)
    rows: list[Row] = [{"user_id": user, "play_number": number} for user in ("ann", "bob") for number in range(3)]
    publish_whole(here.marts, "plays", rows[1:4], SCHEMA, "1")
    publish_changes(here.marts, "plays", rows[1:4], rows, SCHEMA, KEY, "2")
    assert erase_marts(["bob"], here) == {"bob": 3}
    assert not [path for path in here.marts.rglob("*.parquet") if b"bob" in path.read_bytes()]
    expected = [("ann", 0), ("ann", 1), ("ann", 2)]
    assert sorted(duckdb.sql(f"select * from {relation(read_published(here.marts, 'plays'))}").fetchall()) == expected
    assert apply_changes(here.marts) == ["plays"]
    assert duckdb.read_parquet(str(here.marts / "plays.parquet")).fetchall() == expected


def test_leftovers_of_killed_builds_are_deleted(tmp_path: Path) -> None:
    here = settings.Settings(home=tmp_path)
    for name in LEFTOVERS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"bob")
    erase_marts(["bob"], here)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_a_running_validation_keeps_what_it_has_spilled(tmp_path: Path) -> None:
    here = settings.Settings(home=tmp_path)
    spilled, lock = tmp_path / "quality.spill" / "0.tmp", tmp_path / "run" / "validate_marts.lock"
    spilled.parent.mkdir()
    spilled.write_bytes(b"bob")
    with file_lock(lock):
        erase_marts(["bob"], here)
        assert spilled.exists()
    erase_marts(["bob"], here)
    assert not spilled.exists()
