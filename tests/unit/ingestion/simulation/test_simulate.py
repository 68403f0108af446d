"""Simulations are reproducible, and the log shows the ground truth."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ingestion.land import land
from ingestion.simulate import WorldSize, simulate
from storage.files import atomic_write
from tests.support.log_sources import landed, tree

SIZE = WorldSize(users=300, tracks=600, days=30, seed=5)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "sim"
    simulate(SIZE, folder)
    return folder


def read(folder: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in sorted(folder.rglob("*.parquet"))])


def test_simulation_depends_only_on_its_seed(tmp_path: Path) -> None:
    small = {"users": 30, "tracks": 200, "days": 4}
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        simulate(WorldSize(**small, seed=seed), tmp_path / name)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert not read(tmp_path / "one" / "listening_events").equals(read(tmp_path / "three" / "listening_events"))


def test_existing_simulations_and_other_folders_are_not_overwritten(tmp_path: Path) -> None:
    size = WorldSize(users=5, tracks=100, days=1)
    count = simulate(size, tmp_path / "sim")
    assert simulate(size, tmp_path / "sim") == count
    atomic_write(tmp_path / "mine" / "thesis.txt", "dear")
    with pytest.raises(ValueError, match="is not empty and is not a simulation"):
        simulate(size, tmp_path / "mine")


def test_every_row_satisfies_the_contract(world: Path, tmp_path: Path) -> None:
    counts = land(world, tmp_path / "home")["own_events"]
    assert counts.quarantined == 0 and counts.duplicate == 0
    assert landed(tmp_path / "home").height == read(world / "listening_events").height
    assert landed(tmp_path / "home", "landings")["split"].to_list() == ["global_time"]
    assert landed(tmp_path / "home", "knowledge_triples")["relation"].unique().to_list() == ["sang_ost_of"]


def test_events_are_ordered_by_time_and_plays_do_not_overlap(world: Path) -> None:
    log = read(world / "listening_events").sort("user_id", "sequence_number")
    steps = log.select(pl.col("ended_at").diff().over("user_id").drop_nulls().dt.total_microseconds() >= 0)
    assert steps.to_series().all()
    assert log.select((pl.col("sequence_number") == pl.int_range(pl.len()).over("user_id")).all()).item()
    gap = pl.col("occurred_at") - pl.col("ended_at").shift(1).over("user_id")
    assert log.filter(action="play").select((gap.drop_nulls().dt.total_microseconds() >= 0).all()).item()


def test_new_tracks_are_not_played_before_they_appear(world: Path) -> None:
    new = read(world / "tracks").filter(pl.col("available_from").is_not_null()).select("track_id", "available_from")
    new_plays = (
        read(world / "listening_events").filter(action="play").join(new, left_on="target_id", right_on="track_id")
    )
    assert new_plays.height > 50
    assert (new_plays["occurred_at"] >= new_plays["available_from"]).all()
