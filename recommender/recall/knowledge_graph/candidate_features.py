"""Features of graph candidates for the learned order: what the request's recent plays and discoveries say about each.

Users discover in runs: after a new track, further tracks of its artist and tracks played near it follow within the
hour, until an album is complete. The walk adds up all of a user's past and cannot see such a run, nor how new a track is.

All features are known at the request: from its history view, from the tracks that the user had played before, and from
statistics of the `train` part, of which first listens after the request are unknown.

Compiled, because NumPy needs four hundred calls and a dozen passes over the edges.

Legend: N plays of one user, C candidates, A artists, D distinct tracks that the user has played, L listens, V vocabulary, M edges,
K numbers of newest tracks, F features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recommender.array_types import Array
from recommender.compiled import compiled
from recommender.recall.knowledge_graph.graph import HEARD_NEAR
from recommender.recall.knowledge_graph.walk import Edges, WalkGraph
from recommender.recall.repeat_features import MIN_AGE_S
from sequences.sequence_batch import FIRST_CODE

RECENT_PLAYS = (10, 50)
RECENT_DISCOVERIES = (10, 50)
NEIGHBOR_SOURCES = (5, 20, 100)
"""Numbers of newest tracks whose neighbors are looked up; the oldest of them weighs a third of the newest."""
RECENT_DISCOVERY_SOURCES = (20,)
DECAYS = (0.5, 1.0)
NEIGHBOR_DECAY = 0.5
SCORE_FLOOR, NEARNESS_FLOOR = 1e-9, 1e-6
MAX_AGE_S = 1e9
PLAYS, LISTENS, KNOWN, FIRST, LAST, ACTIVATIONS, SHARES, COLUMNS = 0, 1, 2, 3, 4, 5, 7, 11
"""Columns of the sums of an artist: first and last are positions of plays, ACTIVATIONS by DECAYS, SHARES of RECENT_PLAYS and
RECENT_DISCOVERIES."""
NO_LISTEN = np.iinfo(np.int64).max
"""Time of the first listen of a track without listens."""

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
    *(f"near_{count}_listens" for count in NEIGHBOR_SOURCES),
    "near_recent_discoveries",
    "known_neighbor_share",
    "listened_neighbor_share",
    "recent_neighbor_share",
    "neighbor_activation",
    "neighbor_share_of_artist",
    "neighbors",
    "listeners",
    "artist_listeners",
    "listeners_rank_within_artist",
    "first_listen_age",
    "artist_first_listen_age",
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


class RequestHistory(NamedTuple):
    """What one request knows about its user."""

    track_N: Array  # item of each play, oldest first
    ended_at_N: Array  # µs UTC
    is_listened_N: Array
    known_items: Array  # items that the user had played before the request, with repetitions
    request_at: int  # µs UTC


class Tracks(NamedTuple):
    """Statistics of tracks and artists in `train`; first listens in µs UTC, or NO_LISTEN."""

    artist_V: Array
    listeners_V: Array
    first_listen_at_V: Array
    listeners_A: Array
    tracks_A: Array  # number of tracks with a listener
    first_listen_at_A: Array


class CandidateFeatures:
    """Features of the candidates of one request.

    Args:
        walk_graph: Graph whose co-occurrence edges are looked up.
        artist_of_track_V: Artist code of each track.
        listeners_V: Number of users who listened to each track in `train`.
        first_listen_at_V: Time of the first listen of each track by any user in `train`, µs UTC, or NO_LISTEN.
    """

    def __init__(
        self, walk_graph: WalkGraph, artist_of_track_V: Array, listeners_V: Array, first_listen_at_V: Array
    ) -> None:
        artists = int(artist_of_track_V.max(initial=0)) + 1
        first_listen_at_A = np.full(artists, NO_LISTEN)
        np.minimum.at(first_listen_at_A, artist_of_track_V, first_listen_at_V)
        listeners_A = np.bincount(artist_of_track_V, listeners_V, artists)
        tracks_A = np.bincount(artist_of_track_V, listeners_V > 0, artists)
        of_tracks = artist_of_track_V, listeners_V.astype(np.float64), first_listen_at_V
        self._tracks = Tracks(*of_tracks, listeners_A, tracks_A, first_listen_at_A)
        offset_N1, *columns = walk_graph.edges
        is_near_M = walk_graph.edges.code_M == 2 * walk_graph.graph.relation_number(HEARD_NEAR)
        kept_M1 = np.concatenate([[0], np.cumsum(is_near_M)])
        self._edges = Edges(kept_M1[offset_N1], *(column_M[is_near_M] for column_M in columns))

    def compute(self, history: RequestHistory, item_C: Array, score_C: Array) -> Array:
        """Features [C, F] of candidates, float32, in the order of FEATURE_NAMES.

        Args:
            history: What the request knows.
            item_C: Distinct candidates, at least one, best first.
            score_C: Their activations, descending and positive.
        """
        feature_CF = np.zeros((len(item_C), len(FEATURE_NAMES)), dtype=np.float32)
        _fill_features(history, self._tracks, self._edges, item_C, score_C, feature_CF)
        return feature_CF


@compiled
def _fill_features(
    history: RequestHistory, tracks: Tracks, edges: Edges, item_C: Array, score_C: Array, feature_CF: Array
) -> None:
    """Write the features of at least one candidate."""
    V, C, now_us = len(tracks.artist_V), len(item_C), history.request_at
    kept = np.flatnonzero((history.track_N >= FIRST_CODE) & (history.track_N < V))
    track_N, listened_N = history.track_N[kept], history.is_listened_N[kept]
    age_N, N = np.maximum((now_us - history.ended_at_N[kept]) / 1e6, MIN_AGE_S), len(kept)
    artist_of_C, rank_C3, number_A = _rank_within_artists(tracks, item_C)
    number_V, value_D3, sum_AX, is_first_N = _sum_plays(history, tracks, track_N, listened_N, age_N, number_A)
    near_CK = np.zeros((C, len(NEIGHBOR_SOURCES) + len(RECENT_DISCOVERY_SOURCES)))
    candidate_V = np.full(V, -1, np.int32)
    candidate_V[item_C] = np.arange(C)
    sources = len(NEIGHBOR_SOURCES)
    _add_nearness(track_N[listened_N][::-1], NEIGHBOR_SOURCES, candidate_V, edges, near_CK[:, :sources])
    discovered = np.flatnonzero(is_first_N & listened_N)[::-1]
    _add_nearness(track_N[discovered], RECENT_DISCOVERY_SOURCES, candidate_V, edges, near_CK[:, sources:])
    request = (
        is_first_N[-50:].mean() if N else 0.0,
        is_first_N[-500:].mean() if N else 0.0,
        float(len(np.unique(tracks.artist_V[track_N[-10:]]))),
        np.log1p(N),
        np.log(age_N[-1] if N else MAX_AGE_S),
        np.log1p(C),
    )
    best = np.log(max(score_C[0], SCORE_FLOOR))
    for c in range(C):
        item, artist, sum_X = item_C[c], tracks.artist_V[item_C[c]], sum_AX[artist_of_C[c]]
        log_score, first_age, last_age = np.log(max(score_C[c], SCORE_FLOOR)), MAX_AGE_S, MAX_AGE_S
        if sum_X[LAST] >= 0:
            first_age, last_age = age_N[int(sum_X[FIRST])], age_N[int(sum_X[LAST])]
        begin, end = edges.offset_N1[item], edges.offset_N1[item + 1]
        total, same, near_4 = 0.0, 0.0, np.zeros(4)
        for edge in range(begin, end):
            target, weight = edges.target_M[edge], edges.weight_M[edge]
            total, same = total + weight, same + weight * (tracks.artist_V[target] == artist)
            if number_V[target] >= 0:
                near_4[:3] += weight * value_D3[number_V[target]]
                near_4[3] += weight
        total = max(total, SCORE_FLOOR)
        near_4 /= total
        values = (
            log_score,
            log_score - best,
            np.log1p(c),
            np.log1p(rank_C3[c, 0]),
            np.log1p(rank_C3[c, 2]),
            sum_X[SHARES],
            sum_X[SHARES + 1],
            sum_X[SHARES + 2],
            sum_X[SHARES + 3],
            np.log1p(sum_X[LISTENS]),
            np.log(sum_X[ACTIVATIONS] + SCORE_FLOOR),
            np.log(sum_X[ACTIVATIONS + 1] + SCORE_FLOOR),
            np.log(last_age),
            np.log(first_age),
            np.log1p(N - sum_X[LAST]),
            (sum_X[PLAYS] - sum_X[LISTENS]) / max(sum_X[PLAYS], 1.0),
            np.log1p(sum_X[KNOWN]),
            np.log1p(max(tracks.tracks_A[artist] - sum_X[KNOWN], 0.0)),
            np.log(near_CK[c, 0] + NEARNESS_FLOOR),
            np.log(near_CK[c, 1] + NEARNESS_FLOOR),
            np.log(near_CK[c, 2] + NEARNESS_FLOOR),
            np.log(near_CK[c, 3] + NEARNESS_FLOOR),
            near_4[3],
            near_4[0],
            near_4[1],
            np.log(near_4[2] + NEARNESS_FLOOR),
            same / total,
            np.log1p(end - begin),
            np.log1p(tracks.listeners_V[item]),
            np.log1p(tracks.listeners_A[artist]),
            np.log1p(rank_C3[c, 1]),
            _log_age(now_us, tracks.first_listen_at_V[item]),
            _log_age(now_us, tracks.first_listen_at_A[artist]),
        )
        feature_CF[c, : len(values)], feature_CF[c, len(values) :] = np.array(values), np.array(request)


@compiled
def _rank_within_artists(tracks: Tracks, item_C: Array) -> tuple[Array, Array, Array]:
    """Number of each candidate's artist, counted from 0; rank among the artist's candidates by score and by listeners, and
    their number [C, 3]; and the number of each artist, -1 without candidates.
    """
    C, number_A, artists = len(item_C), np.full(len(tracks.listeners_A), -1, np.int32), 0
    artist_of_C, rank_C3, counted_A2 = np.empty(C, np.int64), np.empty((C, 3)), np.zeros((C, 2))
    by_item_C = np.argsort(item_C)
    by_listeners_C = by_item_C[np.argsort(-tracks.listeners_V[item_C[by_item_C]], kind="mergesort")]
    for c in range(C):
        artist = tracks.artist_V[item_C[c]]
        if number_A[artist] < 0:
            number_A[artist], artists = artists, artists + 1
        artist_of_C[c] = number_A[artist]
    for order, order_C in enumerate((np.arange(C), by_listeners_C)):
        for c in order_C:
            rank_C3[c, order] = counted_A2[artist_of_C[c], order]
            counted_A2[artist_of_C[c], order] += 1
    rank_C3[:, 2] = counted_A2[artist_of_C, 0]
    return artist_of_C, rank_C3, number_A


@compiled
def _sum_plays(
    history: RequestHistory, tracks: Tracks, track_N: Array, listened_N: Array, age_N: Array, number_A: Array
) -> tuple[Array, Array, Array, Array]:
    """Number of each track that the user knows, -1 for others; of these: whether it was listened to, whether lately, and its
    activation [D, 3]; sums of the plays of each numbered artist [A, X], see the columns below; which plays are discoveries.
    """
    N, artists = len(track_N), number_A.max() + 1
    number_V, is_first_N, known = np.full(len(tracks.artist_V), -1, np.int32), np.zeros(N, np.bool_), 0
    value_D3, sum_AX = np.zeros((N + len(history.known_items), 3)), np.zeros((artists + 1, COLUMNS))
    sum_AX[:, LAST] = -1
    for n in range(N):
        sum_X = sum_AX[number_A[tracks.artist_V[track_N[n]]]]  # the last row belongs to other artists
        is_first_N[n] = number_V[track_N[n]] < 0
        if is_first_N[n]:
            number_V[track_N[n]], known = known, known + 1
            sum_X[KNOWN] += 1
        sum_X[FIRST] = n if sum_X[LAST] < 0 else sum_X[FIRST]
        sum_X[LAST], sum_X[PLAYS], sum_X[LISTENS] = n, sum_X[PLAYS] + 1, sum_X[LISTENS] + listened_N[n]
        for d, decay in enumerate(DECAYS):
            sum_X[ACTIVATIONS + d] += age_N[n] ** -decay
    for item in history.known_items:
        if FIRST_CODE <= item < len(number_V) and number_V[item] < 0:
            number_V[item], known = known, known + 1
            sum_AX[number_A[tracks.artist_V[item]], KNOWN] += 1
    for rank, n in enumerate(np.flatnonzero(listened_N)[::-1]):
        value_3 = value_D3[number_V[track_N[n]]]
        value_3[0], value_3[1] = 1, max(value_3[1], rank < RECENT_PLAYS[1])
        value_3[2] += age_N[n] ** -NEIGHBOR_DECAY
    firsts = np.flatnonzero(is_first_N)
    for place, count in enumerate(RECENT_PLAYS + RECENT_DISCOVERIES):
        newest = (np.arange(N) if place < len(RECENT_PLAYS) else firsts)[-count:]
        for n in newest:
            sum_AX[number_A[tracks.artist_V[track_N[n]]], SHARES + place] += 1 / len(newest)
    return number_V, value_D3, sum_AX, is_first_N


@compiled
def _add_nearness(newest_L: Array, counts: tuple[int, ...], candidate_V: Array, edges: Edges, near_CK: Array) -> None:
    """Add the co-occurrence edges from the newest distinct tracks, newer ones weigh more, for several numbers of tracks,
    ascending.
    """
    age, passed_V = 0, np.zeros(len(candidate_V), np.bool_)
    for source in newest_L[: 5 * counts[-1]]:
        if passed_V[source] or age == counts[-1]:
            continue
        passed_V[source] = True
        for edge in range(edges.offset_N1[source], edges.offset_N1[source + 1]):
            c = candidate_V[edges.target_M[edge]]
            for k, count in enumerate(counts):
                if c >= 0 and age < count:
                    near_CK[c, k] += edges.weight_M[edge] / (1 + 2 / count * age)
        age += 1


@compiled
def _log_age(now_us: int, at: int) -> float:
    """Logarithm of the age in seconds; MAX_AGE_S for times that are not before `now_us`."""
    return float(np.log(max((now_us - at) / 1e6, MIN_AGE_S) if at < now_us else MAX_AGE_S))
