"""Vocabulary: the integer codes of tracks, artists and collections inside a model.

0 is padding, 1 a track that is not in the vocabulary, 2 and up are tracks by descending number of plays, then by id.
Titles and artist names are included, so that channels can explain recommendations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from event_store.behaviors import TARGET_TYPES
from sequences import behaviors
from sequences.sequence_batch import FIRST_CODE, PADDING, UNKNOWN

SCENES = ("daily", "private_fm", "playlists", "mlog", "similar")
VOCABULARY_FILE = "vocabulary.parquet"
ALIASES_FILE = f"aliases_of_{VOCABULARY_FILE}"


@dataclass(frozen=True)
class Vocabulary:
    """V tracks, A artists and N collections, each including the two reserved codes (0 padding, 1 unknown)."""

    track_ids_V: np.ndarray
    artist_of_track_V: np.ndarray  # artist code of each track
    artist_ids_A: np.ndarray
    titles_V: np.ndarray
    artist_names_A: np.ndarray
    # ids of playlists and mlogs; an id that both kinds use has one code
    collection_ids_N: np.ndarray = field(default_factory=lambda: _object_array(["", ""]))
    aliases: Mapping[str, str] = field(default_factory=dict)  # other id of a track → its id in `track_ids_V`

    @classmethod
    def build(
        cls,
        tracks: pl.DataFrame,
        plays: pl.DataFrame | pl.LazyFrame,
        collection_ids: Iterable[str] = (),
        aliases: Mapping[str, str] | None = None,
    ) -> Vocabulary:
        """A vocabulary of all tracks.

        Args:
            tracks: Rows of the mart `tracks` with track_id, artist_id, title, artist_names.
            plays: Plays of the `train` part with track_id. Codes depend on their counts, so plays of other parts would
                leak.
            collection_ids: Ids of playlists and mlogs.
            aliases: The mart `track_aliases`.
        """
        counts = plays.lazy().group_by("track_id").agg(plays=pl.len()).collect(engine="streaming")
        rows = tracks.select("track_id", "artist_id", "title", artist_name=pl.col("artist_names").list.first())
        rows = rows.join(counts, on="track_id", how="left").with_columns(pl.col("plays").fill_null(0))
        rows = rows.sort("plays", "track_id", descending=[True, False])
        by_artist = (
            rows.filter(pl.col("artist_id").is_not_null())
            .group_by("artist_id")
            .agg(pl.col("plays").sum(), pl.col("artist_name").first())
        )
        by_artist = by_artist.sort("plays", "artist_id", descending=[True, False])
        artist_code = {artist: code for code, artist in enumerate(by_artist["artist_id"].to_list(), start=FIRST_CODE)}
        codes = [artist_code.get(artist, UNKNOWN) for artist in rows["artist_id"].to_list()]
        return cls(
            track_ids_V=_object_array(["", "", *rows["track_id"].to_list()]),
            artist_of_track_V=np.array([PADDING, UNKNOWN, *codes], dtype=np.int64),
            artist_ids_A=_object_array(["", "", *by_artist["artist_id"].to_list()]),
            titles_V=_object_array(["", "", *rows["title"].fill_null("").to_list()]),
            artist_names_A=_object_array(["", "", *by_artist["artist_name"].fill_null("").to_list()]),
            collection_ids_N=_object_array(["", "", *sorted(set(collection_ids))]),
            aliases=aliases or {},
        )

    def __len__(self) -> int:
        """V, including the two reserved codes."""
        return len(self.track_ids_V)

    @property
    def artist_count(self) -> int:
        """Number of artist codes, including the two reserved ones."""
        return len(self.artist_ids_A)

    @cached_property
    def track_code(self) -> Mapping[str, int]:
        """Track code by id, also by other ids that other sources have for the track."""
        code = {track: code for code, track in enumerate(self.track_ids_V[FIRST_CODE:].tolist(), start=FIRST_CODE)}
        return {alias: code[track] for alias, track in self.aliases.items() if track in code} | code

    def canonical_id(self, track_id: str) -> str:
        """The id of a track in responses and marts, from any of its ids; unknown ids are returned as they are."""
        return str(self.track_ids_V[self.track_code[track_id]]) if track_id in self.track_code else track_id

    @cached_property
    def artist_code(self) -> Mapping[str, int]:
        """Artist code by id."""
        return {artist: code for code, artist in enumerate(self.artist_ids_A[FIRST_CODE:].tolist(), start=FIRST_CODE)}

    @cached_property
    def collection_code(self) -> Mapping[str, int]:
        """Collection code by id; the kind of collection is in the `target_type` of an event."""
        return {name: code for code, name in enumerate(self.collection_ids_N[FIRST_CODE:].tolist(), start=FIRST_CODE)}

    def encode(self, track_ids: list[str] | np.ndarray) -> np.ndarray:
        """Codes of track ids; 1 for an unknown track."""
        code = self.track_code
        return np.fromiter((code.get(track, UNKNOWN) for track in track_ids), dtype=np.int64, count=len(track_ids))

    def decode(self, items: np.ndarray) -> list[str]:
        """Track ids of codes; empty strings for the reserved codes."""
        return self.track_ids_V[items].tolist()

    def encoders(self) -> dict[str, Mapping[str, int]]:
        """Codes of string attributes of events: attribute to value to code (0 padding, 1 unknown)."""
        fixed = {"target_type": TARGET_TYPES, "scene": SCENES}
        return {
            "track_id": self.track_code,
            "behavior": behaviors.load_behaviors().encoder,
            "target_id": self.collection_code,  # only collections: tracks have their own attribute
        } | {
            name: {value: code for code, value in enumerate(values, start=FIRST_CODE)} for name, values in fixed.items()
        }

    def describe(self, item: int) -> str:
        """A track as text: `title by artist`, as far as either is known."""
        title, artist = str(self.titles_V[item]), str(self.artist_names_A[self.artist_of_track_V[item]])
        return f"{title or 'a track'} by {artist}" if artist else title or "a track"

    def save(self, folder: Path) -> None:
        """Write one Parquet file each for tracks, artists, collections and aliases of tracks into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        tracks = {"track_id": self.track_ids_V.tolist(), "title": self.titles_V.tolist()}
        artists = {"artist_id": self.artist_ids_A.tolist(), "artist_name": self.artist_names_A.tolist()}
        pl.DataFrame(tracks | {"artist": self.artist_of_track_V.tolist()}).write_parquet(folder / VOCABULARY_FILE)
        pl.DataFrame(artists).write_parquet(folder / f"artists_of_{VOCABULARY_FILE}")
        collections = pl.DataFrame(
            {"collection_id": self.collection_ids_N.tolist()}, schema={"collection_id": pl.String}
        )
        collections.write_parquet(folder / f"collections_of_{VOCABULARY_FILE}")
        aliases = {"alias_id": list(self.aliases), "track_id": list(self.aliases.values())}
        pl.DataFrame(aliases, dict.fromkeys(aliases, pl.String)).write_parquet(folder / ALIASES_FILE)

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read the files that `save` wrote.

        Raises:
            FileNotFoundError: `folder` holds no vocabulary.
        """
        if not (folder / VOCABULARY_FILE).exists():
            raise FileNotFoundError(f"no {VOCABULARY_FILE} in {folder}; run `python -m training.prepare` first")
        tracks, artists = (
            pl.read_parquet(folder / VOCABULARY_FILE),
            pl.read_parquet(folder / f"artists_of_{VOCABULARY_FILE}"),
        )
        collections = pl.read_parquet(folder / f"collections_of_{VOCABULARY_FILE}")["collection_id"].to_list()
        return cls(
            track_ids_V=_object_array(tracks["track_id"].to_list()),
            artist_of_track_V=tracks["artist"].to_numpy().astype(np.int64),
            artist_ids_A=_object_array(artists["artist_id"].to_list()),
            titles_V=_object_array(tracks["title"].to_list()),
            artist_names_A=_object_array(artists["artist_name"].to_list()),
            collection_ids_N=_object_array(collections),
            aliases=dict(pl.read_parquet(folder / ALIASES_FILE).iter_rows()),
        )


def _object_array(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=object)
