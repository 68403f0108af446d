"""Genre search: genres of tracks, and outcomes of plays of the candidate's genres, in this session and recently.

A track and an artist that were never played still have genres, and a session has a mood. A genre value is a style in
its language (Cantonese pop) or an emotion: a user who likes a style in one language need not like it in another. A
track that names only a language or only a style has that value. Each row is computed from its own candidate alone; the
same code offline and online.

Shape letters: V vocabulary, B requests, C candidates, N plays that are read, K values of a track, U values, G types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.ragged import Ragged
from training.ranking.features.history_match import Array, History, Outcomes, smoothed_listen_rate

STYLES, EMOTIONS = range(2)
GENRE_TYPES = 2
MAX_VALUES = 8
"""Largest number of values of a track; further ones are dropped."""
TRACK_GENRES_FILE = "track_kinds.parquet"
RECENT_PLAYS = 500
WINDOWS = 2
GENRE_FEATURES = GENRE_TYPES * WINDOWS * 2

Facets = Mapping[str, tuple[list[str], Ragged]]


@dataclass(frozen=True)
class TrackGenres:
    """Genre values of tracks: `value_VK` has codes from 1 (0: padding), `genre_type_U` the type of each value."""

    value_VK: NDArray[np.int32]
    genre_type_U: NDArray[np.int8]

    @classmethod
    def build(cls, facets: Facets) -> TrackGenres | None:
        """Return the genres from the facets of the V tracks (`TrainingData.facets`); None if no track has any."""
        languages, styles, emotions = (facets[name][1] for name in ("languages", "styles", "emotions"))
        code_of: dict[tuple[int, ...], int] = {}
        rows: list[list[int]] = []
        for track in range(len(languages.count_C)):
            track_languages, track_styles, track_emotions = (
                facet[track].tolist() for facet in (languages, styles, emotions)
            )
            values: list[tuple[int, ...]] = [(EMOTIONS, emotion) for emotion in track_emotions]
            if track_languages or track_styles:
                pairs = product(track_languages or [-1], track_styles or [-1])
                values = [(STYLES, *pair) for pair in pairs] + values
            rows.append([code_of.setdefault(value, len(code_of) + 1) for value in values[:MAX_VALUES]])
        if not code_of:
            return None
        value_VK = np.zeros((len(rows), max(map(len, rows))), dtype=np.int32)
        for track, codes in enumerate(rows):
            value_VK[track, : len(codes)] = codes
        return cls(value_VK, np.array([-1, *(value[0] for value in code_of)], dtype=np.int8))

    def save(self, folder: Path) -> None:
        """Write one Parquet file."""
        type_VK = self.genre_type_U[self.value_VK]
        table = pl.DataFrame({"values": self.value_VK.tolist(), "kinds": type_VK.tolist()})
        table.write_parquet(folder / TRACK_GENRES_FILE)

    @classmethod
    def load(cls, folder: Path) -> TrackGenres | None:
        """Read the file that `save` wrote; None if there is none."""
        if not (folder / TRACK_GENRES_FILE).exists():
            return None
        rows = pl.read_parquet(folder / TRACK_GENRES_FILE)
        value_VK = np.array(rows["values"].to_list(), dtype=np.int32)
        genre_type_U = np.full(int(value_VK.max()) + 1, -1, dtype=np.int8)
        genre_type_U[value_VK] = np.array(rows["kinds"].to_list(), dtype=np.int8)
        return cls(value_VK, genre_type_U)


class GenreTallies:
    """Plays and listens of each genre value [B, U] in two windows: this session, and the RECENT_PLAYS newest plays."""

    def __init__(self, genres: TrackGenres, history: History, outcomes: Outcomes) -> None:
        self.genres = genres
        B, U = len(history.length_B), len(genres.genre_type_U)
        position_BN = history.newest_positions(RECENT_PLAYS)
        row_B1, index_BN = np.arange(B)[:, None], np.maximum(position_BN, 0)
        track_BN, outcome_BN, session_BN = (
            values_BL[row_B1, index_BN] for values_BL in (history.track_BL, outcomes.outcome_BL, outcomes.in_session_BL)
        )
        value_BNK = genres.value_VK[np.maximum(track_BN, 0)]

        def tally(is_counted_BN: Array) -> Array:
            row, position = np.nonzero(is_counted_BN)
            code_XK = row[:, None] * U + value_BNK[row, position]
            counts_BU: Array = np.bincount(code_XK.ravel(), minlength=B * U).reshape(B, U)
            return counts_BU

        is_play_BN = (position_BN >= 0) & (outcome_BN != 0)
        self.windows = [
            (is_in_BN.sum(1), tally(is_in_BN), tally(is_in_BN & (outcome_BN > 0)))
            for is_in_BN in (is_play_BN & session_BN, is_play_BN)
        ]

    def compute_candidate_features(self, items_BC: Array) -> Array:
        """Return GENRE_FEATURES features [B, C, K], window by window and type by type.

        For each: the share of plays that had the candidate's values, and the share of listens among those.
        """
        value_BCK = self.genres.value_VK[items_BC]
        type_BCK = self.genres.genre_type_U[value_BCK]
        row_B11 = np.arange(len(items_BC))[:, None, None]
        is_type_BCGK = type_BCK[:, :, None] == np.arange(GENRE_TYPES)[:, None]
        columns: list[Array] = []
        for total_B, plays_BU, listens_BU in self.windows:
            plays_BCK, listens_BCK = plays_BU[row_B11, value_BCK], listens_BU[row_B11, value_BCK]
            plays_BCG, listens_BCG = (
                (count_BCK[:, :, None] * is_type_BCGK).sum(3) for count_BCK in (plays_BCK, listens_BCK)
            )
            columns.append(plays_BCG / np.maximum(total_B, 1)[:, None, None])
            columns.append(smoothed_listen_rate(listens_BCG, plays_BCG))
        shape = (*items_BC.shape, WINDOWS, 2, GENRE_TYPES)
        return np.stack(columns, axis=2).reshape(shape).swapaxes(3, 4).reshape(*items_BC.shape, -1)
