"""A mart whose changes are published equals the mart that is published whole, at every step."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from config import settings
from storage import mart_changes, object_store
from storage.errors import StorageError
from storage.mart_changes import apply_changes, changes_since, read_published, relation, remove_old_changes
from tests.support.published_changes import Row, publish_changes, publish_whole

SCHEMA = pa.schema([("user_id", pa.string()), ("number", pa.int64()), ("value", pa.string())])
KEY = ("user_id", "number")


def random_step(random: Random, rows: list[Row]) -> list[Row]:
    """Rows after a build: some are deleted, some have another value, some are new; also null keys and values."""
    kept = [dict(row) for row in rows if random.random() < 0.8]
    for row in kept:
        if random.random() < 0.3:
            row["value"] = random.choice(["x", "y", None])
    keys = {(row["user_id"], row["number"]) for row in kept}
    for _ in range(5):
        key = (random.choice(["a", "b", None]), random.randrange(8))
        if key not in keys:
            keys.add(key)
            kept.append({"user_id": key[0], "number": key[1], "value": random.choice(["x", None])})
    return kept


def ordered(rows: list[Row]) -> list[tuple[object, ...]]:
    return sorted((tuple(row[name] for name in SCHEMA.names) for row in rows), key=str)


def read(marts: Path) -> list[tuple[object, ...]]:
    return sorted(duckdb.sql(f"select * from {relation(read_published(marts, 'm'))}").fetchall(), key=str)


@pytest.mark.parametrize("seed", range(5))
def test_changes_one_after_the_other_equal_the_rows(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    rows = random_step(random, [])
    publish_whole(tmp_path, "m", rows, SCHEMA, "100")
    for number in range(101, 110):
        before, rows = rows, random_step(random, rows)
        publish_changes(tmp_path, "m", before, rows, SCHEMA, KEY, str(number))
        assert read(tmp_path) == ordered(rows)
        if random.random() < 0.3:
            assert apply_changes(tmp_path) == ["m"]
            assert read_published(tmp_path, "m").pending == ()
            assert pq.read_table(tmp_path / "m.parquet").schema.names == SCHEMA.names
            assert read(tmp_path) == ordered(rows)
        assert read_published(tmp_path, "m").newest_version == str(number)
    found = apply_changes(tmp_path) or ["m"]
    keys = [(row["user_id"] or "~", row["number"]) for row in pq.read_table(tmp_path / "m.parquet").to_pylist()]
    assert found == ["m"]
    assert keys == sorted(keys), "sorted by the key, nulls last"


def test_applied_mart_keeps_the_time_of_its_publication(tmp_path: Path) -> None:
    rows: list[Row] = [{"user_id": "a", "number": 1, "value": "x"}]
    publish_whole(tmp_path, "m", [], SCHEMA, "1")
    publish_changes(tmp_path, "m", [], rows, SCHEMA, KEY, "2")
    published = read_published(tmp_path, "m")
    object_store.apply_pending_changes(tmp_path, ["m"])
    assert (tmp_path / "m.parquet").stat().st_mtime_ns == published.published_at_ns
    object_store.apply_pending_changes(tmp_path)
    assert read(tmp_path) == [("a", 1, "x")]


def test_changes_since_a_version_end_at_a_mart_that_was_replaced(tmp_path: Path) -> None:
    rows: list[Row] = [{"user_id": "a", "number": number, "value": "x"} for number in range(3)]
    publish_whole(tmp_path, "m", rows[:1], SCHEMA, "1")
    publish_changes(tmp_path, "m", rows[:1], rows[:2], SCHEMA, KEY, "2")
    apply_changes(tmp_path)
    publish_changes(tmp_path, "m", rows[:2], rows, SCHEMA, KEY, "3")
    assert [path.stem for path in changes_since(tmp_path, "m", "1") or ()] == ["1-2", "2-3"]
    assert [path.stem for path in changes_since(tmp_path, "m", "2") or ()] == ["2-3"]
    assert changes_since(tmp_path, "m", "3") == ()
    assert changes_since(tmp_path, "m", None) is None
    publish_whole(tmp_path, "m", rows, SCHEMA, "4")
    assert changes_since(tmp_path, "m", "3") is None
    assert read(tmp_path) == ordered(rows), "changes of the replaced mart are not pending"
    publish_changes(tmp_path, "m", rows, rows[1:], SCHEMA, KEY, "5")
    assert read(tmp_path) == ordered(rows[1:])


def test_only_changes_that_are_needed_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mart_changes, "KEPT_FILES", 3)
    rows: list[Row] = [{"user_id": "a", "number": number, "value": "x"} for number in range(6)]
    publish_whole(tmp_path, "m", rows[:1], SCHEMA, "1")
    for number in range(2, 6):
        publish_changes(tmp_path, "m", rows[: number - 1], rows[:number], SCHEMA, KEY, str(number))
    assert remove_old_changes(tmp_path) == [], "all are pending"
    apply_changes(tmp_path)
    assert [path.stem for path in remove_old_changes(tmp_path)] == ["1-2"]
    assert read(tmp_path) == ordered(rows[:5])
    publish_whole(tmp_path, "m", rows, SCHEMA, "9")
    assert len(remove_old_changes(tmp_path)) == 3


def test_cyclic_changes_are_rejected_with_the_remedy(tmp_path: Path) -> None:
    rows: list[Row] = [{"user_id": "a", "number": 1, "value": "x"}]
    publish_whole(tmp_path, "m", rows, SCHEMA, "2")
    publish_changes(tmp_path, "m", rows, [], SCHEMA, KEY, "3")
    folder = tmp_path / "changes" / "m"
    (folder / "3-2.parquet").write_bytes((folder / "2-3.parquet").read_bytes())
    for read_changes in (read_published, lambda marts, name: changes_since(marts, name, "2")):
        with pytest.raises(StorageError, match=rf"{folder} lead from version 2 back to it; remove this folder"):
            read_changes(tmp_path, "m")


def test_command_applies_the_changes_of_the_home(here: settings.Settings, capsys: pytest.CaptureFixture[str]) -> None:
    marts = here.marts
    rows: list[Row] = [{"user_id": "a", "number": 1, "value": "x"}]
    publish_whole(marts, "m", [], SCHEMA, "1")
    publish_changes(marts, "m", [], rows, SCHEMA, KEY, "2")
    mart_changes.main()
    mart_changes.main()
    assert capsys.readouterr().out.splitlines() == ["wrote m", "wrote nothing: no changes are pending"]
    assert read(marts) == ordered(rows)


def test_changes_are_not_applied_over_a_mart_that_was_published_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = ([{"user_id": "a", "number": 1, "value": value}] for value in ("x", "y", "z"))
    publish_whole(tmp_path, "m", first, SCHEMA, "100")
    publish_changes(tmp_path, "m", first, second, SCHEMA, KEY, "101")

    def publish_newer(_: int) -> None:
        publish_whole(tmp_path, "m", third, SCHEMA, "102")

    monkeypatch.setattr(os, "fsync", publish_newer)
    assert apply_changes(tmp_path) == []
    assert read_published(tmp_path, "m").newest_version == "102"
    assert read(tmp_path) == ordered(third)
    assert list(tmp_path.glob(".*.writing")) == []
