"""`privacy.erase` deletes what was built from erased rows, and keeps it if nothing of the users is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import duckdb
import polars as pl
import pytest

from config import settings
from ingestion.land import land
from privacy import online_store, tables
from privacy.erase import find_suppressed_users, main
from storage.files import atomic_write
from storage.suppression_list import SuppressionList, add_unfinished, read_unfinished
from tests.support.log_sources import event, json_lines, play_log
from tests.support.recorded import record, recorded_event

BUILT = ("warehouse.duckdb", "built/plays.parquet", "spark/plays/part.parquet", "training/cache/final/x/users.json")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the landed events, a mart and build files of the user bob."""
    home = tmp_path / "home"
    monkeypatch.setenv("SEGUE_HOME", str(home))
    land(json_lines(tmp_path / "own.jsonl", [event(user_id="bob")]), home)
    for name in ("marts/plays.parquet", *BUILT[1:3]):
        write_parquet(home / name, "bob")
    write_warehouse(home / "warehouse.duckdb", "bob")
    write_cache(home / BUILT[3], "bob")
    return home


def write_parquet(path: Path, *users: str) -> None:
    pl.DataFrame({"user_id": users}).write_parquet(path, mkdir=True)


def write_warehouse(path: Path, *users: str) -> None:
    with duckdb.connect(str(path)) as warehouse:
        warehouse.execute("create schema if not exists built; create table if not exists built.plays (user_id text)")
        warehouse.execute("create or replace view built.users as select * from built.plays")
        warehouse.executemany("insert into built.plays values (?)", [[user] for user in users])


def write_cache(path: Path, *users: str) -> None:
    atomic_write(path, json.dumps(users))


def built(home: Path) -> list[str]:
    return [name for name in BUILT if (home / name).exists()]


@pytest.mark.parametrize("arguments", [["ann", "--anyway"], ["ann"], ["--suppressed"]])
def test_a_user_without_data_leaves_all_build_files(home: Path, arguments: list[str]) -> None:
    if "--suppressed" in arguments:  # as requested over HTTP
        SuppressionList().with_users(["ann"]).write(home / "suppression_list.json")
        add_unfinished(home, ["ann"])
    assert main(arguments) == (2 if arguments == ["ann"] else 0)
    assert built(home) == list(BUILT)
    assert read_unfinished(home) == set() and not (home / "run" / "stale_builds").exists()


SOURCES: dict[str, Callable[[Path], object]] = {
    "landed": lambda home: land(json_lines(home.parent / "new.jsonl", [event(2, user_id="ann")]), home),
    "source": lambda home: land(json_lines(home.parent / "ann" / "ann.jsonl", [event(3, user_id="bob")]), home),
    "quarantine": lambda home: land(play_log(home.parent / "log", ["ann,9900000000,1,1,9"]), home),
    "mart": lambda home: write_parquet(home / "marts" / "likes.parquet", "ann"),
    "event store": lambda home: record(home, [recorded_event(1, "ann")]),
    "warehouse": lambda home: write_warehouse(home / "warehouse.duckdb", "ann"),
    "damaged warehouse": lambda home: (home / "warehouse.duckdb").write_bytes(b"damaged" * 1000),
    "built mart": lambda home: write_parquet(home / "built" / "plays.parquet", "ann"),
    "Spark": lambda home: write_parquet(home / "spark" / "likes" / "part.parquet", "ann"),
    "cache": lambda home: write_cache(home / "training/cache/validation/x/users.json", "ann", "bob"),
    "release": lambda home: write_parquet(home / "bentoml/models/segue/made/heard.parquet", "ann"),
    "report": lambda home: write_parquet(home / "reports/quality/users.parquet", "ann"),
    "feature log": lambda home: json_lines(home / "requests/dt=2026-05-01/requests-1-1.jsonl", [event(user_id="ann")]),
    "damaged cache": lambda home: (home / "training/cache/final/x/users.json").write_text("["),
}


@pytest.mark.parametrize("source", SOURCES)
def test_data_of_the_user_anywhere_removes_all_build_files(home: Path, source: str) -> None:
    SOURCES[source](home)
    assert main(["ann", "--anyway"]) == 0
    assert built(home) == [] and not (home / "run" / "stale_builds").exists()


@pytest.mark.parametrize(
    ("module", "step"),
    [(tables, "remove_build_files"), (online_store, "erase_users"), (tables, "remove_sequence_cache")],
)
def test_an_interrupted_erasure_removes_the_build_files_later(
    home: Path, monkeypatch: pytest.MonkeyPatch, module: object, step: str
) -> None:
    write_parquet(home / "marts" / "likes.parquet", "ann")
    with monkeypatch.context() as patch:
        patch.setattr(module, step, mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            main(["ann"])
    assert "training/cache/final/x/users.json" in built(home)
    assert read_unfinished(home) == {"ann"}
    assert main(["--suppressed"]) == 0
    assert built(home) == [] and read_unfinished(home) == set()


def test_cached_sequences_of_a_suppressed_user_are_found(home: Path) -> None:
    write_cache(home / BUILT[3], "ann", "bob")
    SuppressionList().with_users(["ann"]).write(home / "suppression_list.json")
    assert find_suppressed_users(settings.load_settings()) == ["ann"]
    assert main(["--suppressed"]) == 0
    assert built(home) == []
    atomic_write(home / BUILT[3], "[")
    assert main(["--suppressed"]) == 0
