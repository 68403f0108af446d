"""A simulated world as marts, with its ground-truth interests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ingestion.simulate import WorldSize, simulate
from ingestion.simulation.catalog_rows import make_ids
from ingestion.simulation.facets import LANGUAGES, STYLES
from ingestion.simulation.world import World
from recommender.user.user_batch import UserBatch
from sequences import behaviors
from sequences.sequence_batch import SequenceBatch
from tests.support.training.tiny_world import CONTENT_TYPES, SERVICES, write_marts
from training.data.training_data import TrainingData
from training.recipes import recipe

NOW = 1_800_000_000_000_000
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class PlantedWorld:
    """Training data of a simulated world, with the interest that each track belongs to."""

    data: TrainingData
    interest_V: np.ndarray  # -1 for the reserved codes
    names: list[tuple[str, str]]  # language and style of each interest

    def number(self, language: str, style: str) -> int:
        """Index of the interest with that language and style."""
        return self.names.index((language, style))

    def listener(self, interests: list[int], tracks: int, seed: int) -> UserBatch:
        """A user who listened to `tracks` tracks of the catalog of each interest, in random order, one per hour."""
        generator = np.random.default_rng(seed)
        items = [np.flatnonzero((self.interest_V == interest) & self.data.catalog_V) for interest in interests]
        item_L = np.concatenate([generator.choice(choices, tracks, replace=False) for choices in items])
        return listener_of(generator.permutation(item_L))


def listener_of(item_L: np.ndarray) -> UserBatch:
    """A user who listened to these items, one per hour, the last one an hour ago."""
    ended_L = NOW - HOUR_US * np.arange(len(item_L), 0, -1)
    full_play = np.full_like(item_L, behaviors.load_behaviors().encoder["full_play"])
    columns = {"track_id": item_L, "ended_at": ended_L, "occurred_at": ended_L - 1, "behavior": full_play}
    batch = SequenceBatch({name: column[None] for name, column in columns.items()}, np.array([len(item_L)]))
    return UserBatch(["u"], np.array([NOW]), {"played_history": batch, "recent_events": batch})


def planted_world(folder: Path, size: WorldSize) -> PlantedWorld:
    """Simulate a log and write marts: plays split per user, and tracks with facets but without content."""
    simulate(size, folder / "simulated")
    events = pl.read_parquet(folder / "simulated" / "listening_events")
    events = events.filter(action="play", target_type="track").sort("user_id", "sequence_number")
    plays = events.select("user_id", "target_id", pl.col("ended_at").dt.replace_time_zone(None), "played_ms")
    marts = write_marts(folder / "marts", list(plays.iter_rows()))
    played = pl.read_parquet(marts / "plays.parquet").filter(pl.col("part") != "test")["track_id"]
    pl.read_parquet(folder / "simulated" / "tracks" / "part.parquet").select(
        *("track_id", "title", "styles", "scenes", "emotions", "themes", "released_on"),
        *(pl.lit(None, kind).alias(name) for name, kind in CONTENT_TYPES.items()),
        artist_id=pl.col("artist_ids").list.first(),
        artist_names="artist_ids",
        available_from=pl.col("available_from").dt.replace_time_zone(None),
        languages=pl.concat_list("language"),
        is_in_catalog=pl.col("track_id").is_in(played.unique().to_list()),
    ).write_parquet(marts / "tracks.parquet")
    data = TrainingData(marts, "held_out", recipe("debug"), services=SERVICES)
    world = World(size.tracks, size.days, size.seed)
    planted = dict(zip(make_ids("track", world.tracks), world.interest_V.tolist(), strict=True))
    interest_V = np.array([planted.get(track, -1) for track in data.vocabulary.track_ids_V])
    languages, styles = (np.array(LANGUAGES)[world.language_K].tolist(), np.array(STYLES)[world.style_K].tolist())
    return PlantedWorld(data, interest_V, list(zip(languages, styles, strict=True)))
