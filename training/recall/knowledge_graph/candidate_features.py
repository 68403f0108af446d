"""Features of graph candidates for the learned order: what the request's recent plays and discoveries say about each.

Users discover in runs: after a new track, further tracks of its artist and tracks played near it follow within the
hour, until an album is complete. The walk adds up all of a user's past and cannot see such a run, nor how new a track is.

All features are known at the request: from its history view, from the tracks that the user had played before, and from
statistics of the `train` part, of which first listens after the request are unknown.

Legend: N plays of one user, C candidates, A distinct artists among the candidates, D distinct tracks that the user has
played, L listens, V vocabulary, F features.

Sums over the co-occurrence edges of a request's candidates and of the user's newest tracks.

Compiled, because NumPy needs a dozen passes over the edges.

Legend: C candidates, S source tracks, D distinct tracks of the user, K weights or values of a track, V vocabulary, N nodes, M edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequences.sequence_batch import FIRST_CODE
from training.data.unique_keys import unique_inverse
from training.engine.numba_compile import compiled
from training.recall.knowledge_graph.config import HEARD_NEAR
from training.recall.knowledge_graph.segment_sum import NO_CODE, Edges
from training.recall.knowledge_graph.walk import WalkGraph

Array = NDArray[Any]

RECENT_PLAYS = (10, 50)
RECENT_DISCOVERIES = (10, 50)
NEIGHBOR_SOURCES = (5, 20, 100)
"""Numbers of newest tracks whose neighbors are looked up; the oldest of them weighs a third of the newest."""
RECENT_DISCOVERY_SOURCES = (20,)
DECAYS = (0.5, 1.0)
NEIGHBOR_DECAY = 0.5
MIN_AGE_S = 60.0
SCORE_FLOOR, NEARNESS_FLOOR = 1e-9, 1e-6
MAX_AGE_S = 1e9
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
        first_listen_at_V: Time of the first listen of each track by any user in `train`, µs UTC, or NO_LISTEN.
    """

    def __init__(
        self, walk_graph: WalkGraph, artist_of_track_V: Array, listeners_V: Array, first_listen_at_V: Array
    ) -> None:
        self._artist_of_track_V, self._listeners_V = artist_of_track_V, listeners_V
        self._first_listen_at_V = first_listen_at_V
        self._nodes = walk_graph.segment_sum
        self._cooccurrence = CooccurrenceSums(walk_graph, artist_of_track_V)
        artists = int(artist_of_track_V.max(initial=0)) + 1
        self._artist_listeners_A = np.bincount(artist_of_track_V, listeners_V, artists)
        self._artist_tracks_A = np.bincount(artist_of_track_V, listeners_V > 0, artists)
        self._first_listen_at_A = np.full(artists, NO_LISTEN)
        np.minimum.at(self._first_listen_at_A, artist_of_track_V, first_listen_at_V)

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
        known = np.concatenate([history.known_items, track_N])
        known = known[(known >= FIRST_CODE) & (known < len(self._artist_of_track_V))]
        known = known[self._nodes.last_occurrence_mask(known)]
        listeners_C = self._listeners_V[item_C]
        columns = [
            log_score_C,
            log_score_C - log_score_C[0],
            np.log1p(np.arange(C)),
            np.log1p(_rank_within(place_C, np.arange(C))),
            np.log1p(candidates_A)[place_C],
            *(
                column_A[place_C]
                for column_A in self._artist_columns(artist_A, track_N, listened_N, age_N, is_first_N, known)
            ),
            *self._nearness(item_C, track_N[listened_N], NEIGHBOR_SOURCES),
            *self._nearness(item_C, track_N[is_first_N & listened_N], RECENT_DISCOVERY_SOURCES),
            *self._neighbor_columns(item_C, known, track_N[listened_N], age_N[listened_N]),
            np.log1p(listeners_C),
            np.log1p(self._artist_listeners_A[artist_A])[place_C],
            np.log1p(_rank_within(place_C, np.lexsort((item_C, -listeners_C)))),
            _log_age(history.request_at, self._first_listen_at_V[item_C]),
            _log_age(history.request_at, self._first_listen_at_A[artist_A])[place_C],
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
        known: Array,
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

    def _nearness(self, item_C: Array, track_L: Array, counts: tuple[int, ...]) -> list[Array]:
        """Sums of the co-occurrence edges [C] from the newest distinct tracks of `track_L`, newer ones weigh more; for
        several numbers of tracks, ascending.
        """
        newest = track_L[::-1][: 5 * counts[-1]]
        source_S = newest[self._is_first(newest)][: counts[-1]]
        place_S = np.arange(len(source_S))
        weights = [np.where(place_S < count, 1 / (1 + 2 / count * place_S), 0.0) for count in counts]
        near_CK = self._cooccurrence.from_sources(item_C, source_S, np.stack(weights, axis=1))
        return list(np.log(near_CK + NEARNESS_FLOOR).T)

    def _neighbor_columns(self, item_C: Array, known_D: Array, track_L: Array, age_L: Array) -> list[Array]:
        """Columns [C] about the tracks that users play near each candidate, mostly those of its album.

        The shares of them that this user has played, listened to in the view, and listened to among the newest listens; their
        activation; the share of them that is by the candidate's artist; their number.
        """
        place_L = self._nodes.positions_of(known_D, track_L)
        value_DK = np.zeros((len(known_D), 4))
        value_DK[:, 0] = 1.0
        value_DK[place_L, 1] = 1.0
        value_DK[place_L[-RECENT_PLAYS[1] :], 2] = 1.0
        value_DK[:, 3] = np.bincount(place_L, age_L**-NEIGHBOR_DECAY, len(known_D))
        sums = self._cooccurrence.of_neighbors(item_C, known_D, value_DK)
        total_C = np.maximum(sums.weight_C, SCORE_FLOOR)
        known_C, listened_C, recent_C, activation_C = (sums.value_CK / total_C[:, None]).T
        return [
            known_C,
            listened_C,
            recent_C,
            np.log(activation_C + NEARNESS_FLOOR),
            sums.weight_of_artist_C / total_C,
            np.log1p(sums.count_C),
        ]

    def _is_first(self, track_N: Array) -> Array:
        """Whether each play is the first one of its track."""
        is_first_N: Array = self._nodes.last_occurrence_mask(track_N[::-1])[::-1]
        return is_first_N


def _log_age(now_us: int, at: Array) -> Array:
    """Logarithm of the age in seconds; MAX_AGE_S for times that are not before `now_us`."""
    is_past = at < now_us
    age = np.where(is_past, np.maximum((now_us - np.minimum(at, now_us)) / 1e6, MIN_AGE_S), MAX_AGE_S)
    log_age: Array = np.log(age)
    return log_age


def _rank_within(group_C: Array, order_C: Array) -> Array:
    """Rank (from 0) of each element within its group, in the order of the permutation `order_C`."""
    grouped = order_C[np.argsort(group_C[order_C], kind="stable")]
    group = group_C[grouped]
    rank_C = np.empty(len(group_C), dtype=np.int64)
    rank_C[grouped] = np.arange(len(group)) - np.searchsorted(group, group)
    return rank_C


@dataclass(frozen=True)
class NeighborSums:
    """Sums over the co-occurrence edges out of each candidate."""

    value_CK: Array  # of weight times value of the neighbor
    weight_C: Array
    weight_of_artist_C: Array  # of the edges to tracks of the candidate's artist
    count_C: Array  # number of the edges


class CooccurrenceSums:
    """Sums over co-occurrence edges.

    Args:
        walk_graph: Graph with the edges.
        artist_of_track_V: Artist code of each track.
    """

    def __init__(self, walk_graph: WalkGraph, artist_of_track_V: Array) -> None:
        self._nodes, self._artist_of_track_V = walk_graph.segment_sum, artist_of_track_V
        relations = walk_graph.graph.relations
        code = 2 * relations.index(HEARD_NEAR) if HEARD_NEAR in relations else NO_CODE
        is_near_M = walk_graph.relation_code_M == code
        kept_M1 = np.concatenate([[0], np.cumsum(is_near_M)])
        self._edges = Edges(
            kept_M1[walk_graph.offset_N1], walk_graph.target_M[is_near_M], walk_graph.weight_M[is_near_M]
        )

    def from_sources(self, item_C: Array, source_S: Array, weight_SK: Array) -> Array:
        """Weights of the edges [C, K] from source tracks to each candidate, each times K weights of the source."""
        return _sum_from_sources(item_C, self._nodes.table_of(item_C), source_S, weight_SK, self._edges)

    def of_neighbors(self, item_C: Array, track_D: Array, value_DK: Array) -> NeighborSums:
        """Sums over the neighbors of each candidate, with K values of the user's tracks; of other neighbors they are 0."""
        table_N = self._nodes.table_of(track_D)
        return NeighborSums(*_sum_neighbors(item_C, track_D, table_N, value_DK, self._artist_of_track_V, self._edges))


@compiled
def _sum_from_sources(item_C: Array, table_N: Array, source_S: Array, weight_SK: Array, edges: Edges) -> Array:
    offset_N1, target_M, weight_M = edges
    C, K = len(item_C), weight_SK.shape[1]
    sum_CK = np.zeros((C, K))
    for source in range(len(source_S)):
        for edge in range(offset_N1[source_S[source]], offset_N1[source_S[source] + 1]):
            place = table_N[target_M[edge]]
            if place < C and item_C[place] == target_M[edge]:
                for number in range(K):
                    sum_CK[place, number] += weight_M[edge] * weight_SK[source, number]
    return sum_CK


@compiled
def _sum_neighbors(
    item_C: Array, track_D: Array, table_N: Array, value_DK: Array, artist_of_track_V: Array, edges: Edges
) -> tuple[Array, Array, Array, Array]:
    offset_N1, target_M, weight_M = edges
    C, D, K = len(item_C), len(track_D), value_DK.shape[1]
    value_CK, weight_C, of_artist_C = np.zeros((C, K)), np.zeros(C), np.zeros(C)
    count_C = np.zeros(C, np.int64)
    for candidate in range(C):
        item = item_C[candidate]
        for edge in range(offset_N1[item], offset_N1[item + 1]):
            target, weight = target_M[edge], weight_M[edge]
            weight_C[candidate] += weight
            count_C[candidate] += 1
            if artist_of_track_V[target] == artist_of_track_V[item]:
                of_artist_C[candidate] += weight
            place = table_N[target]
            if place < D and track_D[place] == target:
                for number in range(K):
                    value_CK[candidate, number] += weight * value_DK[place, number]
    return value_CK, weight_C, of_artist_C, count_C
