"""Landing is idempotent."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import permutations, product
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from config.settings import Settings
from ingestion import landed_tables, landing_zone
from ingestion.as_of import FutureDayError, default_as_of, resolve_as_of
from ingestion.as_of import main as print_as_of
from ingestion.land import land, main
from ingestion.readers.parsing.reader import Rows
from ingestion.row_validation import LATEST
from storage.media_paths import register_root
from tests.support.log_sources import PLAY_ROWS, event, json_lines, landed, play_log, quarantined, tree


def test_landing_again_changes_nothing(tmp_path: Path) -> None:
    log, home = play_log(tmp_path / "log", [*PLAY_ROWS, "1,never,1,1,5"]), tmp_path / "home"
    first = land(log, home)["play_log"]
    before = tree(home)
    again = land(log, home)["play_log"]
    assert (first.read, first.landed, first.duplicate, first.quarantined) == (66, 65, 0, 1)
    assert (again.read, again.landed, again.duplicate, again.quarantined) == (66, 0, 65, 1)
    assert tree(home) == before


def test_rejected_rows_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing_zone, "FLUSH_ROWS", 100)
    for _ in range(2):
        landing = landing_zone.Landing(tmp_path, "day", datetime.now(UTC))
        for start in range(0, 130, 10):
            rows = [
                event(number % 60, action="hum") | {"source_file": "a.jsonl", "source_line": number}
                for number in range(start, start + 10)
            ]
            landing.add(Rows("listening_events", pl.DataFrame(rows)))
        landing.finish()
        assert quarantined(tmp_path).height == 130


def test_history_lands_by_month_and_events_of_a_service_by_day(tmp_path: Path) -> None:
    home = tmp_path / "home"
    land(play_log(tmp_path / "log", PLAY_ROWS[:1]), home)
    land(json_lines(tmp_path / "own.jsonl", [event(1)]), home)
    assert {file.parent.name for file in (home / "landing" / "listening_events").glob("dt=*/*.parquet")} == {
        "dt=2017-07",
        "dt=2026-05-01",
    }
    assert dict(landed(home, "landings").select("format", "split").iter_rows()) == {
        "play_log": "user_time",
        "own_events": "global_time",
    }


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_newest_source_is_valid_in_any_order_of_landing(tmp_path: Path, order: tuple[int, ...]) -> None:
    """Each key is the values of three versions of a source: `aba` was a, then b, and a again."""
    written_at = [LATEST - timedelta(days=3 - version) for version in range(3)]
    keys = ["".join(values) for values in product("ab", repeat=3)]
    for version in (*order, order[0]):
        zone = landing_zone.Landing(tmp_path, "day", LATEST, source_format="mapped_csv", source_at=written_at[version])
        zone.add(Rows("artists", pl.DataFrame({"artist_id": keys, "name": [key[version] for key in keys]})))
        counts = zone.finish()
    assert counts.landed == 0, "landed before"
    for version in range(3):
        newest = (
            landed(tmp_path, "artists")
            .filter(pl.col("source_at") <= written_at[version])
            .sort("source_at")
            .group_by("artist_id")
            .last()
        )
        assert dict(newest.select("artist_id", "name").iter_rows()) == {key: key[version] for key in keys}


def test_an_empty_event_store_creates_a_readable_file_for_every_table(here: Settings) -> None:
    assert main(["--events"]) == 0
    for table, schema in landed_tables.SCHEMAS.items():
        (file,) = (here.home / "landing" / table).glob("dt=*/*.parquet")
        descriptions = [field.metadata[b"description"] for field in schema]
        assert [field.metadata[b"description"] for field in pq.read_schema(file)] == descriptions
        assert pq.read_schema(file).equals(schema)
    with pytest.raises(LookupError, match="land some logs first"):
        default_as_of(here.home)


def test_events_from_the_future_are_quarantined(tmp_path: Path) -> None:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    late = {"occurred_at": "2099-05-02T12:00:00Z", "ended_at": "2099-05-02T12:00:00Z"}
    skewed = {"occurred_at": "2026-05-02T11:59:59Z", "ended_at": "2026-05-02T11:59:59Z"}
    log = json_lines(
        tmp_path / "log" / "listening_events.jsonl", [event(1), event(2, **late), event(3, **skewed)]
    ).parent
    counts = land(log, tmp_path / "home", now=now)["own_events"]
    assert (counts.landed, counts.quarantined) == (2, 1)
    assert "ended_at 2099-05-02 12:00:00" in quarantined(tmp_path / "home")["reason"].item()
    assert default_as_of(tmp_path / "home") == date(2026, 5, 3)


@pytest.mark.parametrize(
    ("today", "requested", "last_valid"),
    [
        pytest.param("2026-05-10", "2026-05-12", "2026-05-11", id="after tomorrow"),
        pytest.param("2026-04-01", "2026-05-03", "2026-05-02", id="the clock of a simulation may be ahead"),
    ],
)
def test_a_requested_day_may_not_be_in_the_future(tmp_path: Path, today: str, requested: str, last_valid: str) -> None:
    land(json_lines(tmp_path / "log" / "listening_events.jsonl", [event(1)]), tmp_path)
    now, last = datetime.fromisoformat(today).replace(tzinfo=UTC), date.fromisoformat(last_valid)
    assert resolve_as_of(tmp_path, last, now) == last
    with pytest.raises(FutureDayError, match=f"as_of {requested} is in the future.* use a day up to {last_valid}"):
        resolve_as_of(tmp_path, date.fromisoformat(requested), now)


@pytest.mark.parametrize(("requested", "code"), [("2999-01-01", 2), ("2026-05-01", 0)])
def test_the_command_fails_for_a_future_day(here: Settings, requested: str, code: int) -> None:
    land(json_lines(here.home / "log" / "listening_events.jsonl", [event(1)]), here.home)
    assert print_as_of(["--requested", requested]) == code


@pytest.mark.parametrize(("path", "reason"), [("", "holds none of the supported formats"), ("x", "does not exist")])
@pytest.mark.usefixtures("here")
def test_paths_that_cannot_be_landed_are_errors_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, reason: str
) -> None:
    assert main([str(tmp_path / path)]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_log_without_valid_rows_is_an_error_with_the_first_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = json_lines(tmp_path / "own" / "listening_events.jsonl", [event(1, action="dance"), "torn"])
    assert main([str(own)]) == 2
    printed = capsys.readouterr()
    assert "the first is listening_events.jsonl, row 1: action dance is not one of" in printed.out
    assert "has no valid row; fix the log or land another one" in printed.err
    assert main([str(json_lines(own, [event(1)]))]) == 0
    assert main([str(own)]) == 0


def test_media_paths_name_the_landed_folder_or_are_relative_to_the_media_root(tmp_path: Path) -> None:
    home, cover = tmp_path / "home", f"media:covers/{'0' * 64}.jpg"
    rows = [
        {"track_id": "a", "audio_path": "x/1.flac", "cover_path": cover},
        {"track_id": "b", "audio_path": "", "cover_path": "../1.jpg"},
        {"track_id": "c", "audio_path": ""},
    ]
    file = json_lines(tmp_path / "music" / "tracks.jsonl", rows)
    land(file.parent, home)
    found = landed(home, "tracks").sort("track_id").select("track_id", "audio_path", "cover_path").rows()
    prefix = register_root(home / "media", file.parent)
    assert found == [("a", f"{prefix}x/1.flac", cover), ("c", "", None)]
    assert quarantined(home, "tracks")["reason"].str.contains("cover_path ../1.jpg is not a path within").all()
    assert land(file, home)["own_events"].landed == 0, "the folder of a file is the same root"
    assert land(file, home, media_root=tmp_path)["own_events"].landed == 1
    assert landed(home, "tracks").sort("landed_at").filter(pl.col("track_id") == "a")["audio_path"].to_list() == [
        f"{prefix}x/1.flac",
        "x/1.flac",
    ]
