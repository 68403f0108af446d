"""How plays like this one came out for this user: the same situation, whatever the track.

A situation is what one knew just before a play: how often its track had been played and what came of it the last time,
whether its artist is the one of the play before, and how the last two plays ended. One user lets new tracks play to the
end and skips what they know, another the other way round; their own plays of the same situation say which.

Shape letters: B requests, C candidates, L plays. See `search.py`. What the history no longer holds counts as never played.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import Array, History, Outcomes, TrackArtistMatches, smoothed_listen_rate
from training.ranking.features.history_search import Search

PLAY_COUNT_BOUNDS = (2, 4, 10)
"""Times played before: 1, 2 to 3, 4 to 9, 10 and more."""
FAMILIARITY_CODES = 1 + 2 * (1 + len(PLAY_COUNT_BOUNDS))
CONTEXT_CODES = 2 * 9
HALF_LIVES = (50, 400)
MAX_HISTORY = 1200


class ContextFeatures(Search):
    """Shares of listens among the user's own plays of the same situation, with two half-lives."""

    user_feature_count: ClassVar[int] = FAMILIARITY_CODES
    candidate_feature_count: ClassVar[int] = 4 * len(HALF_LIVES)

    def __init__(self, history: History, outcomes: Outcomes, request_at_B: Array) -> None:
        super().__init__(history, outcomes, request_at_B)
        track_BN, artist_BN = (
            self.newest_values(values_BL, MAX_HISTORY) for values_BL in (history.track_BL, history.artist_BL)
        )
        outcome_BN = self.newest_values(outcomes.outcome_BL, MAX_HISTORY).astype(np.int64)
        known_BN = familiarity_before_plays(track_BN[:, ::-1], outcome_BN[:, ::-1])[:, ::-1]
        context_BN = np.zeros_like(known_BN)
        same_BN = (artist_BN[:, :-1] == artist_BN[:, 1:]) & (artist_BN[:, :-1] > 0)
        context_BN[:, :-1] = 9 * same_BN + 3 * (outcome_BN[:, 1:] + 1)
        context_BN[:, :-2] += outcome_BN[:, 2:] + 1
        situation_BN = known_BN + FAMILIARITY_CODES * context_BN
        self.tallies = [weighted_tally(situation_BN, outcome_BN, half_life) for half_life in HALF_LIVES]

    def compute_user_features(self) -> list[Array]:
        """The share of listens of each way in which a track can be known."""
        skips_BK, listens_BK = self.tallies[-1].sum(2).swapaxes(0, 1)
        return list(smoothed_listen_rate(listens_BK, skips_BK).T)

    def compute_candidate_features(self, found: TrackArtistMatches) -> list[Array]:
        """By half-life: how many plays (log2 of 1 + weight) there were of a track known in this way, and the share of
        listens; and the same of such plays after such plays.
        """
        match, of_artist = found
        known_BC = familiarity_code(match.count_BC, match.kth_newest_value(self.outcomes.outcome_BL, 0))
        newest_B1 = self.history.length_B[:, None] - 1
        same_BC = (of_artist.last_position_BC == newest_B1) & (newest_B1 >= 0)
        one_B1, two_B1 = (self.newest_values(self.outcomes.outcome_BL, 2).astype(np.int64) + 1).T[:, :, None]
        context_BC = 9 * same_BC + 3 * one_B1 + two_B1
        row_B1 = np.arange(len(known_BC))[:, None]
        columns: list[Array] = []
        for tally_B2CK in self.tallies:
            of_known_B2K = tally_B2CK.sum(2)
            for of in (of_known_B2K[row_B1, :, known_BC], tally_B2CK[row_B1, :, context_BC, known_BC]):
                skips_BC, listens_BC = np.moveaxis(of, -1, 0)
                columns += [np.log2(1 + skips_BC + listens_BC), smoothed_listen_rate(listens_BC, skips_BC)]
        return columns


def weighted_tally(situation_BN: Array, outcome_BN: Array, half_life: float) -> Array:
    """Weights of the plays, the newest first, that were skipped and that were listened to [B, 2, CONTEXTS, KNOWN]."""
    B, N = situation_BN.shape
    code_BN = (2 * np.arange(B)[:, None] + (outcome_BN > 0)) * (CONTEXT_CODES * FAMILIARITY_CODES) + situation_BN
    weight_BN = (outcome_BN != 0) * 0.5 ** (np.arange(N) / half_life)
    sums = np.bincount(code_BN.ravel(), weight_BN.ravel(), minlength=B * 2 * CONTEXT_CODES * FAMILIARITY_CODES)
    return sums.reshape(B, 2, CONTEXT_CODES, FAMILIARITY_CODES)


def familiarity_code(times: Array, last: Array) -> Array:
    """0 for a track that was never played; else by how often, and by what came of it the last time (1 listened)."""
    often = sum((times >= bound).astype(np.int64) for bound in PLAY_COUNT_BOUNDS)
    return np.where(times > 0, 1 + often + (1 + len(PLAY_COUNT_BOUNDS)) * (last > 0), 0)


def familiarity_before_plays(track_BL: Array, outcome_BL: Array) -> Array:
    """How each play's track was known before it [B, L], from the plays before it, oldest first; 0 and below is unknown."""
    B, L = track_BL.shape
    bits = L.bit_length()
    # Sorted by track, then place; what nobody knows is a track of its own each time.
    track_BL = np.where(track_BL > 0, track_BL.astype(np.int64), -1 - np.arange(L))
    sorted_BL = np.sort((track_BL << bits) | np.arange(L), axis=1)
    place_BL, again_BL = sorted_BL & ((1 << bits) - 1), np.zeros((B, L), dtype=bool)
    again_BL[:, 1:] = (sorted_BL[:, 1:] >> bits) == (sorted_BL[:, :-1] >> bits)
    first_BL = np.maximum.accumulate(np.where(again_BL, 0, np.arange(L)), axis=1)
    place_BL += L * np.arange(B)[:, None]
    last_BL = np.roll(outcome_BL.ravel()[place_BL], 1, axis=1)
    known_BL = np.zeros((B, L), dtype=np.int64)
    known_BL.ravel()[place_BL] = familiarity_code(np.arange(L) - first_BL, last_BL)
    return known_BL
