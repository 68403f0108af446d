"""Erasure deletes what killed builds and validations have left."""

from __future__ import annotations

from pathlib import Path

from config import settings
from privacy.tables import erase_marts
from storage.file_lock import file_lock

LEFTOVERS = (
    "warehouse.spill/duckdb_temp_storage-0.tmp",
    "quality.spill/duckdb_temp_storage-0.tmp",
    "marts/.plays.parquet.writing",
    "marts/tmp_plays.parquet",
)


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
