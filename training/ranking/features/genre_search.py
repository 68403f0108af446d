"""How music of the candidate's kinds went: in this session, and among the newest plays.

A track that was never played, by an artist who was never played, still has a style and an emotion; and a session has a
mood. Shape letters: B requests, C candidates, N plays that are read, K values of a track, U values. Every row is computed
from its own candidate alone; the same code offline and online.
"""

from __future__ import annotations

import numpy as np

from training.ranking.features.history_match import Array, History, Outcomes, smoothed_listen_rate
from training.ranking.features.track_genres import GENRE_TYPES, TrackGenres

RECENT_PLAYS = 500
WINDOWS = 2
GENRE_FEATURES = GENRE_TYPES * WINDOWS * 2


class GenreTallies:
    """Plays and listens of each value [B, U], in two windows: this session, and the NEWEST plays."""

    def __init__(self, kinds: TrackGenres, history: History, outcomes: Outcomes) -> None:
        self.genres = kinds
        B, L = history.track_BL.shape
        U = len(kinds.genre_type_U)
        place_BN = history.length_B[:, None] - 1 - np.arange(min(RECENT_PLAYS, L))
        at_BN = np.maximum(place_BN, 0)
        track_BN, outcome_BN, session_BN = (
            np.take_along_axis(of_BL, at_BN, axis=1)
            for of_BL in (history.track_BL, outcomes.outcome_BL, outcomes.in_session_BL)
        )
        value_BNK = kinds.value_VK[np.maximum(track_BN, 0)]

        def tally(is_counted_BN: Array) -> Array:
            row, place = np.nonzero(is_counted_BN)
            code_XK = row[:, None] * U + value_BNK[row, place]
            counts_BU: Array = np.bincount(code_XK.ravel(), minlength=B * U).reshape(B, U)
            return counts_BU

        is_play_BN = (place_BN >= 0) & (outcome_BN != 0)
        self.windows = [
            (is_in_BN.sum(1), tally(is_in_BN), tally(is_in_BN & (outcome_BN > 0)))
            for is_in_BN in (is_play_BN & session_BN, is_play_BN)
        ]

    def compute_candidate_features(self, items_BC: Array) -> list[Array]:
        """KIND_NUMBERS columns [B, C], window by window and kind by kind: the share of plays that were of the candidate's
        values, and the share of listens among them.
        """
        value_BCK = self.genres.value_VK[items_BC]
        kind_BCK = self.genres.genre_type_U[value_BCK]
        row_B11 = np.arange(len(items_BC))[:, None, None]
        columns: list[Array] = []
        for total_B, plays_BU, listens_BU in self.windows:
            plays_BCK, listens_BCK = plays_BU[row_B11, value_BCK], listens_BU[row_B11, value_BCK]
            for kind in range(GENRE_TYPES):
                is_of_BCK = kind_BCK == kind
                plays_BC, listens_BC = (plays_BCK * is_of_BCK).sum(2), (listens_BCK * is_of_BCK).sum(2)
                share_BC = plays_BC / np.maximum(total_B, 1)[:, None]
                columns += [share_BC, smoothed_listen_rate(listens_BC, plays_BC - listens_BC)]
        return columns
