"""A simulated world as marts, with its ground-truth interests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from content import FACETS
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
    plays = _plays(folder)
    marts = write_marts(folder / "marts", list(plays.iter_rows()))
    played = pl.read_parquet(marts / "plays.parquet").filter(pl.col("part") != "test")["track_id"]
    tracks = _tracks(folder).with_columns(is_in_catalog=pl.col("track_id").is_in(played.unique().to_list()))
    nothing = [pl.lit(None, kind).alias(name) for name, kind in CONTENT_TYPES.items()]
    tracks.with_columns(nothing).write_parquet(marts / "tracks.parquet")
    return _planted(folder, size)


def described_world(folder: Path, size: WorldSize, new_artists: int) -> PlantedWorld:
    """The same with texts, sound and covers instead of facets, and with all tracks in the catalog.

    Plays of every `new_artists`th artist are removed, so that their tracks are cold.
    """
    simulate(size, folder / "simulated")
    tracks = _tracks(folder).with_columns(is_in_catalog=pl.lit(True))
    is_new = pl.col("artist_id").str.slice(1).cast(pl.Int64) % new_artists == 0
    new = tracks.filter(is_new)["track_id"].to_list()
    plays = _plays(folder).filter(~pl.col("target_id").is_in(new))
    marts = write_marts(folder / "marts", list(plays.iter_rows()))
    nothing = {facet: pl.lit([], dtype=pl.List(pl.String)) for facet in FACETS}
    tracks.with_columns(**nothing).write_parquet(marts / "tracks.parquet")
    comments = pl.read_parquet(folder / "simulated" / "track_comments" / "part.parquet")
    comments = comments.with_columns(pl.col("occurred_at").dt.replace_time_zone(None))
    comments.filter(~pl.col("track_id").is_in(new)).write_parquet(marts / "track_comments.parquet")
    return _planted(folder, size)


def _plays(folder: Path) -> pl.DataFrame:
    events = pl.read_parquet(folder / "simulated" / "listening_events")
    events = events.filter(action="play", target_type="track").sort("user_id", "sequence_number")
    return events.select("user_id", "target_id", pl.col("ended_at").dt.replace_time_zone(None), "played_ms")


def _tracks(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "simulated" / "tracks" / "part.parquet").select(
        "track_id",
        "title",
        "styles",
        "scenes",
        "emotions",
        "themes",
        "released_on",
        "lyrics",
        "audio_vector",
        "image_vector",
        artist_id=pl.col("artist_ids").list.first(),
        artist_names="artist_ids",
        available_from=pl.col("available_from").dt.replace_time_zone(None),
        languages=pl.concat_list("language"),
    )


def _planted(folder: Path, size: WorldSize) -> PlantedWorld:
    data = TrainingData(folder / "marts", "held_out", recipe("debug"), services=SERVICES)
    world = World(size.tracks, size.days, size.seed)
    planted = dict(zip(make_ids("track", world.tracks), world.interest_V.tolist(), strict=True))
    interest_V = np.array([planted.get(track, -1) for track in data.vocabulary.track_ids_V])
    languages, styles = (np.array(LANGUAGES)[world.language_K].tolist(), np.array(STYLES)[world.style_K].tolist())
    return PlantedWorld(data, interest_V, list(zip(languages, styles, strict=True)))
