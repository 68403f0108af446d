"""Features of graph candidates for the learned order: what the request's recent plays and discoveries say about each.

Users discover in runs: after a new track, further tracks of its artist and tracks played near it follow within the
hour. The walk adds up all of a user's past and cannot see such a run.

All features are known at the request: from its history view, from the tracks that the user had played before, and from
statistics of the `train` part.

Legend: N plays of one user, C candidates, A distinct artists among the candidates, V vocabulary, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequences.sequence_batch import FIRST_CODE
from training.data.unique_keys import unique_inverse
from training.recall.knowledge_graph.config import HEARD_NEAR
from training.recall.knowledge_graph.walk import WalkGraph

Array = NDArray[Any]

RECENT_PLAYS = (10, 50)
RECENT_DISCOVERIES = (10, 50)
NEIGHBOR_SOURCES = 20
RECENCY_DECAY = 0.1
DECAYS = (0.5, 1.0)
MIN_AGE_S = 60.0
SCORE_FLOOR, NEARNESS_FLOOR = 1e-9, 1e-6
MAX_AGE_S = 1e9

CANDIDATE_FEATURES = (
    "log_score",
    "log_score_below_best",
    "log_rank",
    "log_rank_within_artist",
    "artist_candidates",
    *(f"artist_share_of_{count}_plays" for count in RECENT_PLAYS),
    *(f"artist_share_of_{count}_discoveries" for count in RECENT_DISCOVERIES),
    "artist_listens",
    *(f"artist_activation_{decay}" for decay in DECAYS),
    "artist_last_age",
    "artist_first_age",
    "artist_plays_since",
    "artist_skip_share",
    "artist_known_tracks",
    "artist_unknown_tracks",
    "near_recent_listens",
    "near_recent_discoveries",
    "listeners",
    "artist_listeners",
    "listeners_rank_within_artist",
)
REQUEST_FEATURES = (
    "discovery_share_50",
    "discovery_share_500",
    "artists_of_10_plays",
    "history_length",
    "since_last_play",
    "candidates",
)
FEATURE_NAMES = (*CANDIDATE_FEATURES, *REQUEST_FEATURES)


@dataclass(frozen=True)
class RequestHistory:
    """What one request knows about its user."""

    track_N: Array  # item of each play, oldest first
    ended_at_N: Array  # µs UTC
    is_listened_N: Array
    known_items: Array  # items that the user had played before the request, with repetitions
    request_at: int  # µs UTC


class CandidateFeatures:
    """Features of the candidates of one request.

    Args:
        walk_graph: Graph whose co-occurrence edges are looked up.
        artist_of_track_V: Artist code of each track.
        listeners_V: Number of users who listened to each track in `train`.
    """

    def __init__(self, walk_graph: WalkGraph, artist_of_track_V: Array, listeners_V: Array) -> None:
        self._walk_graph, self._artist_of_track_V, self._listeners_V = walk_graph, artist_of_track_V, listeners_V
        self._nodes = walk_graph.segment_sum
        artists = int(artist_of_track_V.max(initial=0)) + 1
        self._artist_listeners_A = np.bincount(artist_of_track_V, listeners_V, artists)
        self._artist_tracks_A = np.bincount(artist_of_track_V, listeners_V > 0, artists)
        relations = walk_graph.graph.relations
        self._heard_near = 2 * relations.index(HEARD_NEAR) if HEARD_NEAR in relations else -1

    def compute(self, history: RequestHistory, item_C: Array, score_C: Array) -> Array:
        """Features [C, F] of candidates, float32, in the order of FEATURE_NAMES.

        Args:
            history: What the request knows.
            item_C: Distinct candidates, best first.
            score_C: Their activations, descending and positive.
        """
        C = len(item_C)
        feature_CF = np.zeros((C, len(FEATURE_NAMES)), dtype=np.float32)
        if not C:
            return feature_CF
        artist_A, place_C = unique_inverse(self._artist_of_track_V[item_C])
        is_known_N = (history.track_N >= FIRST_CODE) & (history.track_N < len(self._artist_of_track_V))
        track_N, listened_N = history.track_N[is_known_N], history.is_listened_N[is_known_N]
        age_N = np.maximum((history.request_at - history.ended_at_N[is_known_N]) / 1e6, MIN_AGE_S)
        is_first_N = self._is_first(track_N)
        log_score_C = np.log(np.maximum(score_C, SCORE_FLOOR))
        candidates_A = np.bincount(place_C)
        listeners_C = self._listeners_V[item_C]
        columns = [
            log_score_C,
            log_score_C - log_score_C[0],
            np.log1p(np.arange(C)),
            np.log1p(_rank_within(place_C, np.arange(C))),
            np.log1p(candidates_A)[place_C],
            *(
                column_A[place_C]
                for column_A in self._artist_columns(artist_A, track_N, listened_N, age_N, is_first_N, history)
            ),
            self._nearness(item_C, track_N[listened_N]),
            self._nearness(item_C, track_N[is_first_N & listened_N]),
            np.log1p(listeners_C),
            np.log1p(self._artist_listeners_A[artist_A])[place_C],
            np.log1p(_rank_within(place_C, np.lexsort((item_C, -listeners_C)))),
        ]
        request = (
            is_first_N[-50:].mean() if len(is_first_N) else 0.0,
            is_first_N[-500:].mean() if len(is_first_N) else 0.0,
            len(np.unique(self._artist_of_track_V[track_N[-10:]])),
            np.log1p(len(track_N)),
            np.log(age_N[-1]) if len(age_N) else np.log(MAX_AGE_S),
            np.log1p(C),
        )
        feature_CF[:, : len(columns)] = np.stack(columns, axis=1)
        feature_CF[:, len(columns) :] = request
        return feature_CF

    def _artist_columns(
        self,
        artist_A: Array,
        track_N: Array,
        listened_N: Array,
        age_N: Array,
        is_first_N: Array,
        history: RequestHistory,
    ) -> list[Array]:
        """Columns [A] about what the user did with each artist."""
        A, N = len(artist_A), len(track_N)
        played_N, artist_N = self._nodes.find(artist_A, self._artist_of_track_V[track_N])
        discoveries = np.flatnonzero(is_first_N)

        def share(plays: Array) -> Array:
            is_recent_N = np.zeros(N, dtype=bool)
            is_recent_N[plays] = True
            return np.bincount(artist_N[is_recent_N[played_N]], minlength=A) / max(len(plays), 1)

        listened = listened_N[played_N]
        count_A, listens_A = np.bincount(artist_N, minlength=A), np.bincount(artist_N[listened], minlength=A)
        last_A, first_A = np.full(A, -1), np.full(A, -1)
        last_A[artist_N] = played_N
        first_A[artist_N[::-1]] = played_N[::-1]
        age_A1 = np.append(age_N, MAX_AGE_S)  # position -1: never played
        known = np.concatenate([history.known_items, track_N])
        known = known[(known >= FIRST_CODE) & (known < len(self._artist_of_track_V))]
        known = known[self._nodes.last_occurrence_mask(known)]
        known_A = np.bincount(self._nodes.find(artist_A, self._artist_of_track_V[known])[1], minlength=A)
        return [
            *(share(np.arange(max(N - count, 0), N)) for count in RECENT_PLAYS),
            *(share(discoveries[-count:]) for count in RECENT_DISCOVERIES),
            np.log1p(listens_A),
            *(np.log(np.bincount(artist_N, age_N[played_N] ** -decay, A) + SCORE_FLOOR) for decay in DECAYS),
            np.log(age_A1[last_A]),
            np.log(age_A1[first_A]),
            np.log1p(np.where(last_A >= 0, N - last_A, N + 1)),
            (count_A - listens_A) / np.maximum(count_A, 1),
            np.log1p(known_A),
            np.log1p(np.maximum(self._artist_tracks_A[artist_A] - known_A, 0)),
        ]

    def _nearness(self, item_C: Array, track_L: Array) -> Array:
        """Sum of the co-occurrence edges [C] from the newest distinct tracks of `track_L`, newer ones weigh more."""
        newest = track_L[::-1][: 5 * NEIGHBOR_SOURCES]
        source_S = newest[self._is_first(newest)][:NEIGHBOR_SOURCES]
        edge, place = self._walk_graph.edges(source_S)
        is_near = self._walk_graph.relation_code_M[edge] == self._heard_near
        edge, place = edge[is_near], place[is_near]
        weight_S = 1 / (1 + RECENCY_DECAY * np.arange(len(source_S)))
        found, position = self._nodes.find(item_C, self._walk_graph.target_M[edge])
        near_C = np.bincount(position, (self._walk_graph.weight_M[edge] * weight_S[place])[found], len(item_C))
        nearness_C: Array = np.log(near_C + NEARNESS_FLOOR)
        return nearness_C

    def _is_first(self, track_N: Array) -> Array:
        """Whether each play is the first one of its track."""
        is_first_N: Array = self._nodes.last_occurrence_mask(track_N[::-1])[::-1]
        return is_first_N


def _rank_within(group_C: Array, order_C: Array) -> Array:
    """Rank (from 0) of each element within its group, in the order of the permutation `order_C`."""
    grouped = order_C[np.argsort(group_C[order_C], kind="stable")]
    group = group_C[grouped]
    rank_C = np.empty(len(group_C), dtype=np.int64)
    rank_C[grouped] = np.arange(len(group)) - np.searchsorted(group, group)
    return rank_C
