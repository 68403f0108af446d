"""A simulated world as marts, with the interests that were planted in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ingestion.simulate import WorldSize, simulate
from sequences import behaviours
from sequences.batch import SequenceBatch
from tests.training.conftest import SERVICES, write_marts
from training.data import TrainingData
from training.features import UserBatch
from training.recipes import recipe

NOW = 1_800_000_000_000_000
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class PlantedWorld:
    """`interest_V`: the planted interest of each item, -1 for the reserved ones; `names`: what an interest is."""

    data: TrainingData
    interest_V: np.ndarray
    names: list[tuple[str, str]]

    def number(self, language: str, style: str) -> int:
        """The interest of that language and style."""
        return self.names.index((language, style))

    def listener(self, interests: list[int], tracks: int, seed: int) -> UserBatch:
        """Somebody who listened to so many catalogue tracks of each interest, in any order, one an hour."""
        generator = np.random.default_rng(seed)
        mine = [np.flatnonzero((self.interest_V == one) & self.data.catalogue_V) for one in interests]
        item_L = np.concatenate([generator.choice(some, tracks, replace=False) for some in mine])
        return listener_of(generator.permutation(item_L))


def listener_of(item_L: np.ndarray) -> UserBatch:
    """Somebody who listened to these items, one an hour, the last an hour ago."""
    ended_L = NOW - HOUR_US * np.arange(len(item_L), 0, -1)
    full_play = np.full_like(item_L, behaviours.load().encoder["full_play"])
    columns = {"track_id": item_L, "ended_at": ended_L, "occurred_at": ended_L - 1, "behaviour": full_play}
    batch = SequenceBatch({name: column[None] for name, column in columns.items()}, np.array([len(item_L)]))
    return UserBatch(["u"], np.array([NOW]), {"played_history": batch, "recent_events": batch})


def planted_world(folder: Path, size: WorldSize) -> PlantedWorld:
    """Simulate, and write what dbt would make of it: plays in parts by share within the user, tracks with facets."""
    simulate(size, folder / "simulated")
    events = pl.read_parquet(folder / "simulated" / "listening_events")
    events = events.filter(action="play", target_type="track").sort("user_id", "sequence_number")
    plays = events.select("user_id", "target_id", pl.col("ended_at").dt.replace_time_zone(None), "played_ms")
    marts = write_marts(folder / "marts", list(plays.iter_rows()))
    heard = pl.read_parquet(marts / "plays.parquet").filter(pl.col("part") != "test")["track_id"]
    pl.read_parquet(folder / "simulated" / "tracks" / "part.parquet").select(
        "track_id",
        "title",
        "styles",
        "scenes",
        "emotions",
        "themes",
        "released_on",
        artist_id=pl.col("artist_ids").list.first(),
        artist_names="artist_ids",
        is_in_catalogue=pl.col("track_id").is_in(heard.unique().to_list()),
        available_from=pl.col("available_from").dt.replace_time_zone(None),
        languages=pl.concat_list("language"),
    ).write_parquet(marts / "tracks.parquet")
    data = TrainingData(marts, "held_out", recipe("debug"), services=SERVICES)
    truth = folder / "simulated" / "truth"
    planted = dict(pl.read_parquet(truth / "tracks.parquet").select("track_id", "interest").iter_rows())
    interest_V = np.array([planted.get(track, -1) for track in data.vocabulary.track_ids_V])
    names = list(pl.read_parquet(truth / "interests.parquet").sort("interest").select("language", "style").iter_rows())
    return PlantedWorld(data, interest_V, names)
