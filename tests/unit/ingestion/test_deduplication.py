"""Landed ids are found even with hash collisions, and files are read only once."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from ingestion import deduplication, landing_zone
from ingestion.deduplication import EventIdIndex
from ingestion.land import land
from tests.support.log_sources import event, json_lines


def own_log(folder: Path, count: int, days: int = 1) -> Path:
    """`count` likes distributed over `days` days, in files of five."""
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
def test_lookups_find_exactly_the_landed_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collide: bool, run_ids: int
) -> None:
    monkeypatch.setattr(deduplication, "SPILL_THRESHOLD_IDS", run_ids)
    if collide:
        monkeypatch.setattr(deduplication, "_hashes", lambda ids: ids.str.len_bytes().cast(pl.UInt64).to_numpy())
    random_ids, index, files, landed = random.Random(0), EventIdIndex(tmp_path / "runs"), list[Path](), set[str]()
    for number in range(30):
        queries = [f"e{random_ids.randrange(2_000)}" for _ in range(random_ids.randrange(150))]
        is_landed = index.contains(files, pl.Series("event_id", queries, dtype=pl.String)).to_list()
        assert is_landed == [query in landed for query in queries]
        new = sorted(set(queries) - landed)
        landed.update(new)
        files.append(written(tmp_path, number, new))
        assert len(index) < 2 * run_ids, "large runs are on disk"
    index.spill()
    assert len(index) == 0
    assert index.contains(files, pl.Series("event_id", sorted(landed))).all()


def test_partitions_that_exceed_the_memory_limit_are_spilled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    ids_of = deduplication._event_ids
    monkeypatch.setattr(deduplication, "_event_ids", lambda file: read.append(file) or ids_of(file))
    monkeypatch.setattr(landing_zone, "FLUSH_ROWS", 5)
    monkeypatch.setattr(landing_zone, "MAX_IDS_IN_MEMORY", 0)
    log = own_log(tmp_path / "log", 50, days=2)
    for landed in (50, 0):
        read.clear()
        counts = land(log, tmp_path / "home")
        assert sum(count.landed for count in counts.values()) == landed
        assert sum(count.duplicate for count in counts.values()) == 50 - landed
        assert landed == 0 or len(read) == len(set(read)), "no file is read twice"
    assert not (tmp_path / "home" / "landing" / ".scratch").exists()
