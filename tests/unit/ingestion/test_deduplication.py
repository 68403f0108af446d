"""Ids that have landed are found, whatever their hashes, and no file is read twice for nothing."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from ingestion import deduplication, landing
from ingestion.deduplication import EventIdIndex
from ingestion.land import land
from tests.support.log_sources import event, json_lines


def own_log(folder: Path, count: int, days: int = 1) -> Path:
    """So many likes, day after day in turn, in files of five."""
    rows = [event(number, **dict.fromkeys(("occurred_at", "ended_at"), at(number, days))) for number in range(count)]
    for begin in range(0, count, 5):
        json_lines(folder / "listening_events" / f"{begin:03d}.jsonl", rows[begin : begin + 5])
    return folder


def at(number: int, days: int) -> str:
    return f"2026-05-{1 + number % days:02d}T10:00:{number % 60:02d}Z"


def written(folder: Path, number: int, ids: list[str]) -> Path:
    path = folder / f"{number}.parquet"
    pl.DataFrame({"event_id": pl.Series(ids, dtype=pl.String)}).write_parquet(path)
    return path


@pytest.mark.parametrize("run_ids", [1, 200, deduplication.SPILL_THRESHOLD_IDS])
@pytest.mark.parametrize("collide", [False, True])
def test_found_is_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collide: bool, run_ids: int
) -> None:
    monkeypatch.setattr(deduplication, "SPILL_THRESHOLD_IDS", run_ids)
    if collide:
        monkeypatch.setattr(deduplication, "_hashes", lambda ids: ids.str.len_bytes().cast(pl.UInt64).to_numpy())
    random_ids, known, files, seen = random.Random(0), EventIdIndex(tmp_path / "known"), list[Path](), set[str]()
    for number in range(30):
        asked = [f"e{random_ids.randrange(2_000)}" for _ in range(random_ids.randrange(150))]
        found = known.contains(files, pl.Series("event_id", asked, dtype=pl.String)).to_list()
        assert found == [one in seen for one in asked]
        new = sorted(set(asked) - seen)
        seen.update(new)
        files.append(written(tmp_path, number, new))
        assert len(known) < 2 * run_ids, "what has grown lies on the disk"
    known.spill()
    assert len(known) == 0
    assert known.contains(files, pl.Series("event_id", sorted(seen))).all()


def test_a_landing_reads_the_ids_of_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    ids_of = deduplication._event_ids
    monkeypatch.setattr(deduplication, "_event_ids", lambda file: read.append(file) or ids_of(file))
    monkeypatch.setattr(landing, "FLUSH_ROWS", 5)
    log = own_log(tmp_path / "log", 100)
    counts = land(log, tmp_path / "home")
    files = sorted((tmp_path / "home" / "landing" / "listening_events").glob("dt=2026-*/*.parquet"))
    assert sum(count.landed for count in counts.values()) == 100
    assert len(files) == 20
    assert len(read) == len(set(read)) == 19, "the last one is asked about nothing"
    land(log, tmp_path / "home")
    assert len(read) < 19 + 4 * 20


def test_partitions_that_do_not_fit_lie_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    ids_of = deduplication._event_ids
    monkeypatch.setattr(deduplication, "_event_ids", lambda file: read.append(file) or ids_of(file))
    monkeypatch.setattr(landing, "FLUSH_ROWS", 5)
    monkeypatch.setattr(landing, "MAX_IDS_IN_MEMORY", 0)
    log = own_log(tmp_path / "log", 50, days=2)
    for landed in (50, 0):
        read.clear()
        counts = land(log, tmp_path / "home")
        assert sum(count.landed for count in counts.values()) == landed
        assert sum(count.duplicate for count in counts.values()) == 50 - landed
        assert landed == 0 or len(read) == len(set(read)), "no file is read twice"
    assert not (tmp_path / "home" / "landing" / ".scratch").exists()
