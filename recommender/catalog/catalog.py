"""Catalog of a release: metadata of every servable track as arrays by item, and the similarity of tracks by facets.

The filters read the metadata; reranking for diversity uses the similarity.

Legend: V vocabulary (0 padding, 1 unknown), A artists of the catalog, F artists of all tracks together. Times are int64
µs UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from content import FACETS
from recommender.array_types import Floats, Ints
from recommender.catalog.arrays import concatenate_ranges
from recommender.catalog.vocabulary import Vocabulary
from sequences.sequence_batch import FIRST_CODE, UNKNOWN

NO_START_LIMIT, NO_END_LIMIT = np.iinfo(np.int64).min, np.iinfo(np.int64).max

NEW_TRACK_PLAY_THRESHOLD = 10
"""A track with fewer plays by all users is new: its rank is not yet reliable."""


@dataclass(frozen=True)
class Catalog:
    """Tracks by item."""

    is_served_V: np.ndarray  # may be served at all
    duration_ms_V: np.ndarray  # 0: unknown
    available_from_V: np.ndarray  # µs UTC; NO_START_LIMIT: no limit
    available_until_V: np.ndarray  # µs UTC, exclusive; NO_END_LIMIT: no limit
    recording_V: np.ndarray  # equal for items of the same recording
    territories_V: np.ndarray  # index into `territories`
    territories: list[frozenset[str]]  # sets of upper-case country codes; the empty set means all countries
    is_explicit_V: np.ndarray  # has an advisory label
    is_music_V: np.ndarray  # may be recommended to users who have not listened to it twice
    is_listened_V: np.ndarray  # has any play that is not a skip, or it is not known
    is_new_V: np.ndarray  # has fewer than NEW_TRACK_PLAY_THRESHOLD plays
    facets: TrackFacets
    artist_F: np.ndarray  # codes of item v's artists, main artist first: artist_F[offset_V1[v]:offset_V1[v + 1]]
    artist_offset_V1: np.ndarray
    main_artist_V: np.ndarray  # from 2; 1: unknown
    artist_code: dict[str, int]  # artist id to code
    titles_V: list[str]
    album_ids_V: list[str]  # "": none
    album_titles: dict[str, str]  # by album id
    artist_names_V: list[list[str]]
    audio_urls_V: list[str]  # "": unknown
    audio_paths_V: list[str]  # as landed (`storage.media_paths`); "": none
    cover_paths_V: list[str]

    @classmethod
    def build(cls, tracks: pl.DataFrame, vocabulary: Vocabulary) -> Catalog:
        """From a table with the columns of the mart `tracks`; all but `track_id` may be missing or null."""
        V = len(vocabulary)
        order = pl.DataFrame({"track_id": [str(track) for track in vocabulary.track_ids_V], "item": np.arange(V)})
        missing = {name: default for name, default in _DEFAULTS.items() if name not in tracks.columns}
        rows = order.join(tracks.with_columns(**missing), on="track_id", how="left", maintain_order="left").unique(
            "item", keep="first", maintain_order=True
        )
        artists = rows["artist_ids"].to_list()
        artist_code: dict[str, int] = {}
        codes = [
            [artist_code.setdefault(artist, len(artist_code)) for artist in dict.fromkeys(track_artists or [])]
            for track_artists in artists
        ]
        territories_V, territories = _encode_territories(rows["territories"])
        is_served = rows["is_in_catalog"].fill_null(False).to_numpy().copy()
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
            is_music_V=rows["is_music"].fill_null(True).to_numpy(),
            is_listened_V=(rows["listens_total"] > 0).fill_null(True).to_numpy(),
            is_new_V=(rows["plays_total"] < NEW_TRACK_PLAY_THRESHOLD).fill_null(False).to_numpy(),
            facets=TrackFacets.build(rows),
            artist_F=np.array([code for track_codes in codes for code in track_codes], dtype=np.int64),
            artist_offset_V1=np.concatenate([[0], np.cumsum([len(track_codes) for track_codes in codes])]).astype(
                np.int64
            ),
            main_artist_V=np.array(
                [track_codes[0] + FIRST_CODE if track_codes else UNKNOWN for track_codes in codes], dtype=np.int64
            ),
            artist_code=artist_code,
            titles_V=rows["title"].fill_null("").to_list(),
            album_ids_V=rows["album_id"].fill_null("").to_list(),
            album_titles=_album_titles(rows),
            artist_names_V=[[name for name in names or [] if name] for names in rows["artist_names"].to_list()],
            audio_urls_V=rows["audio_url"].fill_null("").to_list(),
            audio_paths_V=rows["audio_path"].fill_null("").to_list(),
            cover_paths_V=rows["cover_path"].fill_null("").to_list(),
        )

    def __len__(self) -> int:
        """Size of the vocabulary, V."""
        return len(self.is_served_V)

    @cached_property
    def _artist_ids(self) -> list[str]:
        return list(self.artist_code)  # codes count from 0 in this order

    def track_count(self, artist_id: str) -> int:
        """Number of tracks of an artist."""
        return int((self.artist_F == self.artist_code[artist_id]).sum())

    def artist_ids_of(self, item: int) -> list[str]:
        """Ids of an item's artists, main artist first."""
        codes = self.artist_F[self.artist_offset_V1[item] : self.artist_offset_V1[item + 1]]
        return [*map(self._artist_ids.__getitem__, codes.tolist())]


@dataclass(frozen=True)
class TrackFacets:
    """Facet values (language, styles, scenes of life, emotions, themes) of all tracks.

    Item v has the values `value_N[offset_V1[v]:offset_V1[v + 1]]`. Legend: C candidates, N facet values of all tracks,
    U values of the candidates, F facets.
    """

    value_N: NDArray[np.int32]
    facet_N: NDArray[np.int8]  # index into FACETS of each value
    offset_V1: NDArray[np.int64]
    names: list[str] = field(default_factory=list)  # of the values

    @classmethod
    def build(cls, rows: pl.DataFrame) -> Self:
        """From one row per item with a list column for each of FACETS, which may be null or missing."""
        V = len(rows)
        facet_tables = [
            _facet_values(rows, name).with_columns(facet=pl.lit(number)) for number, name in enumerate(FACETS)
        ]
        values = pl.concat(facet_tables).unique().sort("item", "facet", "value")
        codes = values.select("facet", "value").unique(maintain_order=True).with_row_index("code")
        values = values.join(codes, on=["facet", "value"], how="left", maintain_order="left")
        return cls(
            value_N=values["code"].cast(pl.Int32).to_numpy(),
            facet_N=values["facet"].cast(pl.Int8).to_numpy(),
            offset_V1=np.searchsorted(values["item"].to_numpy(), np.arange(V + 1)).astype(np.int64),
            names=codes["value"].to_list(),
        )

    @cached_property
    def items_of(self) -> dict[tuple[str, str], Ints]:
        """Facet and value → the items that have it, ascending."""
        order_N = np.argsort(self.value_N, kind="stable")
        item_N = np.repeat(np.arange(len(self.offset_V1) - 1), np.diff(self.offset_V1))[order_N]
        offset_U1 = np.searchsorted(self.value_N[order_N], np.arange(len(self.names) + 1))
        facets = [FACETS[facet] for facet in self.facet_N[order_N[offset_U1[:-1]]].tolist()]
        ranges = pairwise(offset_U1.tolist())
        keys = zip(facets, self.names, strict=True)
        return {key: item_N[begin:end] for key, (begin, end) in zip(keys, ranges, strict=True)}

    def names_of(self, item: int) -> list[str]:
        """The facet values of an item, in the order of FACETS."""
        values = self.value_N[self.offset_V1[item] : self.offset_V1[item + 1]]
        return [*map(self.names.__getitem__, values.tolist())]

    def values_of(self, items_C: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The values of all these items, item by item, and the place of the item of each."""
        place_N, of_N = concatenate_ranges(self.offset_V1[items_C], self.offset_V1[items_C + 1])
        return self.value_N[place_N], of_N

    def similarity(self, items_C: NDArray[np.int64]) -> Floats:
        """Similarity of each pair of items, [C, C] in 0..1.

        The cosine similarity of two tracks' values of a facet, averaged over the facets that both tracks have; NaN if
        there is no such facet.
        """
        C = len(items_C)
        position_N, row_N = concatenate_ranges(self.offset_V1[items_C], self.offset_V1[items_C + 1])
        values_CF = np.bincount(row_N * len(FACETS) + self.facet_N[position_N], minlength=C * len(FACETS))
        _, column_N = np.unique(self.value_N[position_N], return_inverse=True)
        weight_CU = np.zeros((C, int(column_N.max(initial=-1)) + 1), dtype=np.float32)
        facet_size_N = values_CF[row_N * len(FACETS) + self.facet_N[position_N]]
        weight_CU[row_N, column_N] = 1 / np.sqrt(facet_size_N)
        has_CF = (values_CF.reshape(C, len(FACETS)) > 0).astype(np.float32)
        both_CC = has_CF @ has_CF.T
        unknown = np.full((C, C), np.nan, dtype=np.float32)
        return np.divide(weight_CU @ weight_CU.T, both_CC, out=unknown, where=both_CC > 0)

    def intra_list_diversity(self, items_CL: NDArray[np.int64]) -> NDArray[np.float64]:
        """Intra-list diversity of C lists (0: padding): mean of 1 - similarity over pairs with a similarity; else NaN."""
        diversity_C = np.full(len(items_CL), np.nan)
        for case, row in enumerate(items_CL):
            items = row[row > 0]
            pairs = self.similarity(items)[np.triu_indices(len(items), 1)]
            valid = pairs[~np.isnan(pairs)]
            if len(valid):
                diversity_C[case] = 1 - valid.mean()
        return diversity_C


_DEFAULTS: dict[str, pl.Expr] = {
    "title": pl.lit(None, pl.String),
    "album_id": pl.lit(None, pl.String),
    "album_title": pl.lit(None, pl.String),
    "audio_url": pl.lit(None, pl.String),
    "audio_path": pl.lit(None, pl.String),
    "cover_path": pl.lit(None, pl.String),
    "recording_id": pl.lit(None, pl.String),
    "artist_ids": pl.lit(None, pl.List(pl.String)),
    "artist_names": pl.lit(None, pl.List(pl.String)),
    "duration_ms": pl.lit(None, pl.Int64),
    "available_from": pl.lit(None, pl.Datetime("us")),
    "available_until": pl.lit(None, pl.Datetime("us")),
    "territories": pl.lit(None, pl.List(pl.String)),
    "is_explicit": pl.lit(None, pl.Boolean),
    "is_music": pl.lit(None, pl.Boolean),
    "plays_total": pl.lit(None, pl.Int64),
    "listens_total": pl.lit(None, pl.Int64),
    "is_in_catalog": pl.lit(True),
    **dict.fromkeys(FACETS, pl.lit(None, pl.List(pl.String))),
}


def _album_titles(rows: pl.DataFrame) -> dict[str, str]:
    albums = rows.select("album_id", "album_title").drop_nulls().unique()
    return dict(albums.iter_rows())


def _to_microseconds(column: pl.Series, absent: int) -> np.ndarray:
    # Times without a zone are UTC; null means no limit.
    return column.cast(pl.Datetime("us")).cast(pl.Int64).fill_null(absent).to_numpy()


def _encode_territories(column: pl.Series) -> tuple[np.ndarray, list[frozenset[str]]]:
    """The index of each track's set of countries, and the distinct sets, which are few."""
    code: dict[frozenset[str], int] = {}
    sets = (frozenset(country.upper() for country in countries or [] if country) for countries in column.to_list())
    return np.array([code.setdefault(countries, len(code)) for countries in sets], dtype=np.int64), list(code)


def _encode_recordings(column: pl.Series) -> np.ndarray:
    # A track without a recording id gets a unique code: its negative item number.
    V = len(column)
    physical = column.cast(pl.Categorical).to_physical().cast(pl.Int64)
    return physical.fill_null(pl.Series(-np.arange(V) - 1)).to_numpy()


def _facet_values(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Columns `item` and `value` of a facet, without nulls."""
    lists = rows[name] if name in rows.columns else pl.Series([None] * len(rows))
    table = pl.DataFrame({"item": np.arange(len(rows)), "value": lists.cast(pl.List(pl.String))})
    return table.explode("value").drop_nulls("value")
