"""Genre search: genres of tracks, and outcomes of plays of the candidate's genres, in this session and recently.

A track and an artist that were never played still have genres, and a session has a mood. A genre value is a style in
its language (Cantonese pop) or an emotion: a user who likes a style in one language need not like it in another. A
track that names only a language or only a style has that value. Each row is computed from its own candidate alone; the
same code offline and online.

Shape letters: V vocabulary, B requests, C candidates, N plays that are read, K values of a track, U values, G types, W windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recommender.array_types import Array
from recommender.catalog.arrays import Ragged
from recommender.compiled import compiled
from recommender.ranking.features.history_match import History, Outcomes, smoothed_listen_rate

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
    """Plays and listens of each genre value [B, U, 2] in two windows: this session, and the RECENT_PLAYS newest plays."""

    def __init__(self, genres: TrackGenres, history: History, outcomes: Outcomes) -> None:
        self.genres = genres
        row_B1, position_BN = np.arange(len(history.length_B))[:, None], history.newest_positions(RECENT_PLAYS)
        value_BNK = genres.value_VK[np.maximum(history.track_BL[row_B1, position_BN], 0)]
        outcome_BN = outcomes.outcome_BL[row_B1, position_BN] * (position_BN >= 0)
        in_session_BN = outcomes.in_session_BL[row_B1, position_BN]
        self.plays_BW, self.tally_BWU2 = _tally(value_BNK, outcome_BN, in_session_BN, len(genres.genre_type_U))

    def compute_candidate_features(self, items_BC: Array) -> Array:
        """Return GENRE_FEATURES features [B, C, K], window by window and type by type.

        For each: the share of plays that had the candidate's values, and the share of listens among those.
        """
        value_BCK = self.genres.value_VK[items_BC]
        is_type_BCKG = self.genres.genre_type_U[value_BCK][..., None] == np.arange(GENRE_TYPES)
        tally_BCKW2 = self.tally_BWU2.swapaxes(1, 2)[np.arange(len(items_BC))[:, None, None], value_BCK]
        sum_BCWG2: Array = np.einsum("bckwx,bckg->bcwgx", tally_BCKW2, is_type_BCKG)
        sum_BCWG2[..., 1] = smoothed_listen_rate(sum_BCWG2[..., 1], sum_BCWG2[..., 0])
        sum_BCWG2[..., 0] /= np.maximum(self.plays_BW, 1)[:, None, :, None]
        return sum_BCWG2.reshape(*items_BC.shape, -1)


@compiled
def _tally(value_BNK: Array, outcome_BN: Array, in_session_BN: Array, values: int) -> tuple[Array, Array]:
    """Number of plays [B, W], and plays and listens of each value [B, W, U, 2]."""
    B, N, K = value_BNK.shape
    plays_BW, tally_BWU2 = np.zeros((B, WINDOWS)), np.zeros((B, WINDOWS, values, 2))
    for b in range(B):
        for n in range(N):
            for window in range(0 if in_session_BN[b, n] else 1, WINDOWS if outcome_BN[b, n] != 0 else 0):
                plays_BW[b, window] += 1
                for k in range(K):
                    tally_BWU2[b, window, value_BNK[b, n, k], 0] += 1
                    tally_BWU2[b, window, value_BNK[b, n, k], 1] += outcome_BN[b, n] > 0
    return plays_BW, tally_BWU2
