"""Simulations are reproducible, and the log shows the ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ingestion.land import land
from ingestion.simulate import WorldSize, simulate
from ingestion.simulation.catalog_rows import make_ids
from ingestion.simulation.outcomes import examination
from ingestion.simulation.users import SimulatedUsers
from ingestion.simulation.world import World
from media.track_description import Descriptions
from research import hidden_facets
from tests.support.log_sources import landed, tree

SIZE = WorldSize(users=300, tracks=600, days=30, seed=5)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "sim"
    simulate(SIZE, folder)
    return folder


@pytest.fixture(scope="module")
def plays(world: Path) -> pl.DataFrame:
    """Plays of tracks with `is_full`, `is_skip` and `is_own` (an interest of the user at the end)."""
    latent = World(SIZE.tracks, SIZE.days, SIZE.seed)
    users = SimulatedUsers(latent, SIZE.users, SIZE.days, SIZE.seed)
    for day in range(SIZE.days):
        users.start_day(day)
    user, place = np.nonzero(users.interest_weights())
    interests = {"user_id": [f"u{one}" for one in user], "interest": users.interest_UI[user, place], "is_own": True}
    ids = pl.DataFrame({"track_id": make_ids("track", SIZE.tracks), "interest": latent.interest_V})
    tracks = read(world / "tracks").select("track_id", "duration_ms").join(ids, on="track_id")
    return (
        events(world)
        .filter(pl.col("action") == "play")
        .join(tracks, left_on="target_id", right_on="track_id")
        .join(pl.DataFrame(interests), on=["user_id", "interest"], how="left")
        .with_columns(
            is_own=pl.col("is_own").fill_null(False),
            is_full=pl.col("played_ms") / pl.col("duration_ms") >= 0.9,
            is_skip=pl.col("played_ms") < 30_000,
        )
        .sort("user_id", "sequence_number")
    )


def read(folder: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in sorted(folder.rglob("*.parquet"))])


def events(world: Path) -> pl.DataFrame:
    return read(world / "listening_events")


def test_simulation_depends_only_on_its_seed(tmp_path: Path) -> None:
    small = {"users": 30, "tracks": 200, "days": 4}
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        simulate(WorldSize(**small, seed=seed), tmp_path / name)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert not events(tmp_path / "one").equals(events(tmp_path / "three"))


def test_existing_simulations_and_other_folders_are_not_overwritten(tmp_path: Path) -> None:
    size = WorldSize(users=20, tracks=200, days=2)
    count = simulate(size, tmp_path / "sim")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "sim").rglob("*")}
    assert simulate(size, tmp_path / "sim") == count
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "sim").rglob("*")} == times
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(ValueError, match="is not empty and is not a simulation"):
        simulate(size, tmp_path / "mine")


def test_every_row_satisfies_the_contract(world: Path, tmp_path: Path) -> None:
    counts = land(world, tmp_path / "home")["own_events"]
    assert counts.quarantined == 0 and counts.duplicate == 0
    assert landed(tmp_path / "home").height == events(world).height
    assert landed(tmp_path / "home", "landings")["split"].to_list() == ["global_time"]
    relations = landed(tmp_path / "home", "knowledge_triples")["relation"].unique().to_list()
    assert relations == ["sang_ost_of"]


def test_descriptions_of_media_have_the_facets_of_landed_tracks(world: Path, tmp_path: Path) -> None:
    land(world, tmp_path / "home")
    tracks = landed(tmp_path / "home", "tracks").sort("track_id")
    descriptions = Descriptions.read(world)
    for track in tracks.iter_rows(named=True):
        found = descriptions.find(track["track_id"])
        assert found is not None
        assert (found.title, found.language, [found.style]) == (track["title"], track["language"], track["styles"])
        assert (found.artist, found.album, found.recording) == (
            track["artist_ids"][0],
            track["album_id"],
            track["recording_id"],
        )
        assert sorted(found.emotions) == sorted(track["emotions"])


def test_hidden_facets_are_in_the_media_only(tmp_path: Path) -> None:
    simulate(WorldSize(users=5, tracks=100, days=1), tmp_path)
    shown = read(tmp_path / "tracks")
    hidden_facets.main([str(tmp_path)])
    hidden, names = read(tmp_path / "tracks"), list(hidden_facets.HIDDEN_COLUMNS)
    assert hidden.select(names).null_count().row(0) == (len(hidden),) * len(names)
    assert hidden.drop(names).equals(shown.drop(names)) and hidden.schema == shown.schema
    assert read(tmp_path / "artists").select(pl.col("name") == pl.col("artist_id")).to_series().all()
    assert land(tmp_path, tmp_path / "home")["own_events"].quarantined == 0


def test_events_are_ordered_by_time_and_sessions_do_not_overlap(world: Path, plays: pl.DataFrame) -> None:
    log = events(world).sort("user_id", "sequence_number")
    steps = log.select(pl.col("ended_at").diff().over("user_id").drop_nulls().dt.total_microseconds() >= 0)
    assert steps.to_series().all()
    assert log.select((pl.col("sequence_number") == pl.int_range(pl.len()).over("user_id")).all()).item()
    gap = pl.col("occurred_at") - pl.col("ended_at").shift(1).over("user_id")
    assert plays.select((gap.drop_nulls().dt.total_microseconds() >= 0).all()).item()


def test_users_finish_tracks_of_their_interests_and_skip_others(plays: pl.DataFrame) -> None:
    rates = plays.group_by("is_own").agg(pl.col("is_full", "is_skip").mean(), pl.len()).sort("is_own")
    assert rates["len"].min() > 300
    assert rates["is_full"][1] > rates["is_full"][0] + 0.2
    assert rates["is_skip"][1] < rates["is_skip"][0] - 0.1


def test_position_bias_is_that_of_the_model(world: Path) -> None:
    shown = events(world).filter((pl.col("scene") == "daily") & (pl.col("target_type") == "track"))
    rate = (
        shown.group_by("position")
        .agg(((pl.col("action") == "click").sum() / (pl.col("action") == "impression").sum()).alias("rate"))
        .sort("position")
    )
    planted = examination(rate["position"].to_numpy())
    measured = rate["rate"].to_numpy()
    assert np.corrcoef(planted, measured)[0, 1] > 0.9
    assert measured[0] > 1.5 * measured[-1]


def test_new_tracks_are_not_played_before_they_appear(world: Path, plays: pl.DataFrame) -> None:
    new = read(world / "tracks").filter(pl.col("available_from").is_not_null()).select("track_id", "available_from")
    new_plays = plays.join(new, left_on="target_id", right_on="track_id")
    assert new_plays.height > 50
    assert (new_plays["occurred_at"] >= new_plays["available_from"]).all()


def test_rejected_tracks_are_not_played_again(world: Path) -> None:
    log = events(world)
    refused = log.filter(pl.col("action") == "dislike").select("user_id", "target_id", refused_at="ended_at")
    later = log.filter(pl.col("action") == "impression", pl.col("target_type") == "track").join(
        refused, on=["user_id", "target_id"]
    )
    assert refused.height > 20
    assert not (later["occurred_at"].dt.date() > later["refused_at"].dt.date()).any()
