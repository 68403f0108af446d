"""What a release may serve, as arrays by item: the filters' view of the tracks.

Legend: V vocabulary (0 padding, 1 unknown), A artists of this catalogue. Times int64 µs UTC.
Knows nothing about users.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from sequences.batch import FIRST_CODE, UNKNOWN
from training.data.track_facets import TrackFacets
from training.data.training_data import FACETS
from training.data.vocabulary import Vocabulary

NO_START_LIMIT, NO_END_LIMIT = np.iinfo(np.int64).min, np.iinfo(np.int64).max

NEW_TRACK_PLAY_THRESHOLD = 10
"""A track that was played less often, by anybody, is new: too little is known of it to believe in its place."""


@dataclass(frozen=True)
class Catalog:
    """Tracks by item. `duration_ms_V` is 0 where nobody knows it, `main_artist_V` 1 where nobody does, else from 2 on.

    `recording_V` is equal for two items of the same recording. `is_explicit_V` where an advisory label is known,
    `is_new_V` where fewer than NEW_PLAYS plays are. Item v may be served in the countries `territories[territories_V[v]]`,
    upper-case codes; none of them means everywhere. `audio_urls_V` is where it can be heard, "" where nobody knows. Its
    artists, the main one first, are `artist_F[artist_offset_V1[v]:artist_offset_V1[v + 1]]`, codes into `artist_code`
    (id ▸ code).
    """

    is_served_V: np.ndarray
    duration_ms_V: np.ndarray
    available_from_V: np.ndarray
    available_until_V: np.ndarray
    recording_V: np.ndarray
    territories_V: np.ndarray
    territories: list[frozenset[str]]
    is_explicit_V: np.ndarray
    is_new_V: np.ndarray
    facets: TrackFacets
    artist_F: np.ndarray
    artist_offset_V1: np.ndarray
    main_artist_V: np.ndarray
    artist_code: dict[str, int]
    titles_V: list[str]
    artist_names_V: list[list[str]]
    audio_urls_V: list[str]

    @classmethod
    def build(cls, tracks: pl.DataFrame, vocabulary: Vocabulary) -> Catalog:
        """From the release's catalogue, columns as in the mart `tracks`: all but `track_id` may be missing or null."""
        V = len(vocabulary)
        order = pl.DataFrame({"track_id": [str(track) for track in vocabulary.track_ids_V], "item": np.arange(V)})
        rows = order.join(_select_columns(tracks), on="track_id", how="left", maintain_order="left").unique(
            "item", keep="first", maintain_order=True
        )
        artists = rows["artist_ids"].to_list()
        artist_code: dict[str, int] = {}
        codes = [
            [artist_code.setdefault(artist, len(artist_code)) for artist in dict.fromkeys(of_track or [])]
            for of_track in artists
        ]
        territories_V, territories = _encode_territories(rows["territories"])
        is_served = rows["is_in_catalogue"].fill_null(False).to_numpy().copy()
        is_served[:FIRST_CODE] = False
        return cls(
            is_served_V=is_served,
            duration_ms_V=rows["duration_ms"].fill_null(0).to_numpy(),
            available_from_V=_to_microseconds(rows["available_from"], NO_START_LIMIT),
            available_until_V=_to_microseconds(rows["available_until"], NO_END_LIMIT),
            recording_V=_encode_recordings(rows["recording_id"]),
            territories_V=territories_V,
            territories=territories,
            is_explicit_V=rows["is_explicit"].fill_null(False).to_numpy(),
            is_new_V=(rows["plays_total"] < NEW_TRACK_PLAY_THRESHOLD).fill_null(False).to_numpy(),
            facets=TrackFacets.build(rows),
            artist_F=np.array([code for of_track in codes for code in of_track], dtype=np.int64),
            artist_offset_V1=np.concatenate([[0], np.cumsum([len(of_track) for of_track in codes])]).astype(np.int64),
            main_artist_V=np.array(
                [of_track[0] + FIRST_CODE if of_track else UNKNOWN for of_track in codes], dtype=np.int64
            ),
            artist_code=artist_code,
            titles_V=rows["title"].fill_null("").to_list(),
            artist_names_V=[[name for name in names or [] if name] for names in rows["artist_names"].to_list()],
            audio_urls_V=rows["audio_url"].fill_null("").to_list(),
        )

    def __len__(self) -> int:
        """V."""
        return len(self.is_served_V)

    def artists_of(self, item: int) -> np.ndarray:
        """Codes of an item's artists, the main one first."""
        return self.artist_F[self.artist_offset_V1[item] : self.artist_offset_V1[item + 1]]

    @cached_property
    def _artist_ids(self) -> list[str]:
        return list(self.artist_code)  # codes count from 0 in this order

    def artist_ids_of(self, item: int) -> list[str]:
        """Ids of an item's artists, the main one first."""
        return [self._artist_ids[code] for code in self.artists_of(item).tolist()]


_DEFAULTS: dict[str, pl.Expr] = {
    "title": pl.lit(None, pl.String),
    "audio_url": pl.lit(None, pl.String),
    "recording_id": pl.lit(None, pl.String),
    "artist_ids": pl.lit(None, pl.List(pl.String)),
    "artist_names": pl.lit(None, pl.List(pl.String)),
    "duration_ms": pl.lit(None, pl.Int64),
    "available_from": pl.lit(None, pl.Datetime("us")),
    "available_until": pl.lit(None, pl.Datetime("us")),
    "territories": pl.lit(None, pl.List(pl.String)),
    "is_explicit": pl.lit(None, pl.Boolean),
    "plays_total": pl.lit(None, pl.Int64),
    "is_in_catalogue": pl.lit(True),
    **dict.fromkeys(FACETS, pl.lit(None, pl.List(pl.String))),
}


def _select_columns(tracks: pl.DataFrame) -> pl.DataFrame:
    present = set(tracks.columns)
    columns = {name: pl.col(name) if name in present else default for name, default in _DEFAULTS.items()}
    return tracks.select(pl.col("track_id").cast(pl.String), *(column.alias(name) for name, column in columns.items()))


def _to_microseconds(column: pl.Series, absent: int) -> np.ndarray:
    # A time without a zone is UTC; no time means no bound.
    microseconds: np.ndarray = column.cast(pl.Datetime("us")).cast(pl.Int64).fill_null(absent).to_numpy()
    return microseconds


def _encode_territories(column: pl.Series) -> tuple[np.ndarray, list[frozenset[str]]]:
    """For each track the number of its set of countries, and the sets: a catalogue has few of them."""
    code: dict[frozenset[str], int] = {}
    sets = (frozenset(country.upper() for country in countries or [] if country) for countries in column.to_list())
    return np.array([code.setdefault(one, len(code)) for one in sets], dtype=np.int64), list(code)


def _encode_recordings(column: pl.Series) -> np.ndarray:
    # A track without a recording id is a recording of its own: its negative item number.
    V = len(column)
    known = column.cast(pl.Categorical).to_physical().cast(pl.Int64)
    codes: np.ndarray = known.fill_null(pl.Series(-np.arange(V) - 1)).to_numpy()
    return codes
