"""`privacy.erase` in a home without a recommender: output, suppression of users, and interrupted runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from config import settings
from ingestion import landed_tables
from ingestion.land import land
from ingestion.land import main as land_command
from privacy import parquet
from privacy.erase import find_suppressed_users, main
from releases.integrity import checksum_listing
from serving.inspection.stored_data import collect_stored_data
from storage import suppression_list
from storage.files import atomic_write
from storage.suppression_list import SuppressionList
from tests.support.log_sources import event, json_lines, landed, play_log, quarantined, tree

ROWS = [f"{user},{1_500_000_000 + month * 2_700_000 + n * 61},{n % 3 + 1},1,{n * 7_000}"
        for user in ("ann", "bob", "eve") for month in range(3) for n in range(5)]  # fmt: skip
KILLED = """
import os, sys
from pathlib import Path
from privacy.erase import main
left = [int(sys.argv[1])]
def die_after(name):
    real = getattr(Path, name)
    def call(self, *arguments, **more):
        left[0] -= 1
        if left[0] < 0:
            os._exit(9)
        return real(self, *arguments, **more)
    setattr(Path, name, call)
die_after("replace"), die_after("unlink")
main(["ann"])
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def filled(home: Path) -> Path:
    """Create landed plays of three users, an invalid row of two of them, a mart and a warehouse."""
    log = play_log(home.parent / "log", [*ROWS, *(f"{user},never,1,1,5" for user in ("ann", "bob"))])
    land(log, home)
    landed(home).select("user_id", "event_id", "ended_at").sort("user_id").write_parquet(
        home / "marts" / "plays.parquet", row_group_size=7, mkdir=True
    )
    duckdb.connect(str(home / "warehouse.duckdb")).close()
    return log


def rows(home: Path, without: str = "") -> dict[str, list[str]]:
    """Rows of each table as text, in order but for the published plays; without the rows of a user."""
    plays = pl.read_parquet(home / "marts" / "plays.parquet").rows()
    tables = {"landed": landed(home).rows(), "quarantined": quarantined(home).rows()}
    found = {name: sorted(map(str, table)) for name, table in tables.items()} | {"plays": [*map(str, plays)]}
    return {name: [row for row in table if not without or f"'{without}'" not in row] for name, table in found.items()}


def test_user_is_erased_from_every_table_and_others_are_unchanged(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = filled(home)
    others, file = rows(home, "ann"), next((home / "landing" / "listening_events").glob("dt=2017-07/*.parquet"))
    os.utime(file, (1_000_000_000, 1_000_000_000))
    assert main(["ann"]) == 0
    assert rows(home) == others
    assert "ann: erased, 31 rows" in capsys.readouterr().out
    assert not (home / "warehouse.duckdb").exists()
    # The changed file has a new name but keeps its landing time.
    (rewritten,) = (home / "landing" / "listening_events").glob("dt=2017-07/*.parquet")
    assert rewritten.name != file.name and rewritten.stat().st_mtime == 1_000_000_000
    assert pq.read_schema(rewritten).equals(landed_tables.LISTENING_EVENTS, check_metadata=True)
    kept = {name: content for name, content in tree(home).items() if not name.startswith("serving/")}
    counts = land(log, home)["play_log"]
    assert (counts.read, counts.landed, counts.quarantined, counts.suppressed) == (52, 0, 1, 16)
    assert main(["ann"]) == 0
    assert "already erased" in capsys.readouterr().out
    assert {name: content for name, content in tree(home).items() if name in kept} == kept


def suppressed(home: Path) -> set[str]:
    return suppression_list.read_suppression_list(home / "suppression_list.json").intersection(["zoe", "bob", "ann"])


def test_unknown_user_is_an_error_without_anyway(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = filled(home)
    assert main(["zoe", "bob"]) == 2
    printed = capsys.readouterr()
    assert "bob: erased, 31 rows" in printed.out
    assert "no data of zoe in" in printed.err and "--anyway" in printed.err
    assert suppressed(home) == {"bob"}
    assert main(["zoe", "--anyway"]) == 0
    assert suppressed(home) == {"bob", "zoe"}
    with pytest.raises(SystemExit):
        main([""])
    assert main([" bob"]) == 2 and "no data of  bob in" in capsys.readouterr().err
    assert land(log, home)["play_log"].suppressed == 16
    assert main(["ann", "bob", "--lift"]) == 2 and "not suppressed: ann" in capsys.readouterr().err
    assert land(log, home)["play_log"].landed == 0
    assert main(["bob", "--lift"]) == 0
    assert land(log, home)["play_log"].landed == 15


def test_files_that_cannot_be_read_do_not_keep_the_rest_from_being_erased(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(home)
    torn, draft = home / "training" / "x" / "part.parquet", home / "marts" / "tmp_plays.parquet"
    atomic_write(torn, b"PAR1half")
    draft.write_bytes(b"PAR1half")
    (home / "training" / "x" / "y.parquet").symlink_to(home / "removed.parquet")
    pl.DataFrame({"user_id": ["ann", "bob"]}).write_parquet(torn.with_name("whole.parquet"))
    assert len(collect_stored_data("ann", settings.load_settings(), {}, {}).stores) == 4
    others = rows(home, "ann")
    assert main(["ann"]) == 2
    assert f"{torn} is no readable Parquet file; delete it" in capsys.readouterr().err
    assert not draft.exists()
    assert rows(home) == others
    assert pl.read_parquet(torn.with_name("whole.parquet"))["user_id"].to_list() == ["bob"]
    assert main(["--suppressed"]) == 2
    torn.unlink()
    assert main(["--suppressed"]) == 0
    assert main(["ann"]) == 0


def test_source_named_after_an_erased_user_is_anonymized(home: Path, tmp_path: Path) -> None:
    log = play_log(tmp_path / "ann", ROWS[:5])
    land(log, home)
    land(json_lines(tmp_path / "other" / "own.jsonl", [event()]), home)
    assert main(["ann"]) == 0
    assert sorted(landed(home, "landings")["source"]) == ["forgotten", "own.jsonl"]
    land(log, home)
    assert sorted(landed(home, "landings")["source"]) == ["forgotten", "own.jsonl"]


def test_erasing_the_last_user_leaves_readable_tables(home: Path, tmp_path: Path) -> None:
    land(json_lines(tmp_path / "own.jsonl", [event()]), home)
    assert main(["u1"]) == 0
    assert landed(home).height == 0


@pytest.mark.parametrize("steps", [0, 2, 4, 6])
def test_interrupted_erasure_is_completed_by_the_next_run(home: Path, tmp_path: Path, steps: int) -> None:
    filled(home)
    others = rows(home, "ann")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(steps)], check=False, capture_output=True, cwd=settings.ROOT
    )
    assert done.returncode == 9, done.stderr
    assert main(["ann"]) == 0
    assert rows(home) == others
    assert not [file for file in home.rglob("*/dt=*/*") if file.name.endswith(".writing")]
    assert not (home / "warehouse.duckdb").exists()


def test_release_is_intact_after_a_crash_because_its_checksums_are_updated_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "release"
    file = folder / "channels" / "heard.parquet"
    pl.DataFrame({"user_id": ["ann", "bob"], "item": [[1], [2]]}).write_parquet(file, mkdir=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "files.sha256").write_text(checksum_listing(folder))
    real = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target == file:
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            parquet.erase_from_file(file, ["ann"])
    assert pl.read_parquet(file)["user_id"].to_list() == ["ann", "bob"]
    assert parquet.erase_from_file(file, ["ann"]) == {"ann": 1}
    assert pl.read_parquet(file).rows() == [("bob", [2])]
    assert (folder / "files.sha256").read_text() == checksum_listing(folder)


def test_the_text_of_a_row_without_a_user_is_not_kept(home: Path, tmp_path: Path) -> None:
    land(play_log(tmp_path / "log", [*ROWS[:5], "bob,never,1,1,5", "ann,1500000000,1,1,9000,stray"]), home)
    land(json_lines(tmp_path / "own.jsonl", [event(9), json.dumps(event(1, user_id="ann"))[:-3]]), home)
    kept = dict(quarantined(home).select("user_id", "raw").iter_rows())
    assert kept.keys() == {"bob", None} and kept[None] == "" and "never" in kept["bob"]
    assert all(b"ann" not in file.read_bytes() for file in (home / "quarantine").rglob("*.parquet"))


def test_texts_of_earlier_versions_are_erased_with_the_first_user(home: Path) -> None:
    file = home / "quarantine" / "listening_events" / "dt=2026-05-01" / "a.parquet"
    rows = {"user_id": [None, None, "bob", "ann"], "raw": ["x,ann,1", "", "x,bob,ann", "x"]}
    pl.DataFrame(rows).write_parquet(file, mkdir=True)
    assert main(["ann"]) == 0
    assert pl.read_parquet(file).rows() == [(None, ""), ("bob", "x,bob,ann")]


def test_a_row_with_a_user_id_belongs_to_no_other_user(home: Path, tmp_path: Path) -> None:
    land(play_log(tmp_path / "log", [*ROWS[:5], "bob,never,ann,1,5"]), home)
    assert main(["ann"]) == 0
    assert quarantined(home)["user_id"].to_list() == ["bob"]
    assert find_suppressed_users(settings.load_settings()) == []


def test_suppression_list_stores_no_ids_and_its_hashes_differ_between_homes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        SuppressionList().with_users(["ann"]).write(tmp_path / name)
    a, b = (suppression_list.read_suppression_list(tmp_path / name) for name in ("a", "b"))
    assert a.hashes.isdisjoint(b.hashes) and "ann" in a and "ann" in b and "bob" not in a
    assert b"ann" not in (tmp_path / "a").read_bytes()
    assert "ann" not in a.without_users(["ann"]) and len(suppression_list.read_suppression_list(tmp_path / "none")) == 0


def test_landing_stops_while_the_suppression_list_is_damaged(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = play_log(home.parent / "log", ROWS)
    atomic_write(home / "suppression_list.json", "{")
    assert land_command([str(log)]) == 2
    assert "suppression_list.json is damaged" in capsys.readouterr().err
    assert not list(home.rglob("*.parquet"))
    assert main(["ann"]) == 2
