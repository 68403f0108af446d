"""What a recommender must beat: lists made of nothing but the user's own past, and of what everybody plays.

`most_played`, `last_played`; `base_level_activation`: ACT-R's sum over past listens of (seconds ago)^-0.5, at least a
minute ago (Anderson and Schooler 1991; for music Reiter-Haas et al. 2021); `own_artists_unheard`: the most popular
tracks of the artists the user listened to most that they have not listened to; `popularity`: what was listened to most
before the test parts. "Listened" is 30 s and more. The past is the user's whole past before the request; a memory has
no parameter to fit. Legend: C cases, K candidates, N past listens. Knows nothing about models or features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.data.plays import PARTS
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.evaluation.baselines.listening_history import ListeningHistory

HEURISTIC_BASELINES = ("most_played", "last_played", "base_level_activation", "own_artists_unheard", "popularity")
MIN_AGE_US = 60_000_000
TRACKS_PER_ARTIST = 20

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def recall(
    data: TrainingData, cases: RecallCases, k: int, names: Sequence[str] = HEURISTIC_BASELINES, progress: bool = True
) -> dict[str, Ints]:
    """For each memory of `names` one list a case [C, K], best first, 0 where the past holds no more.

    Raises:
        ValueError: a name is not one of MEMORIES.
    """
    unknown = sorted(set(names) - set(HEURISTIC_BASELINES))
    if unknown:
        raise ValueError(f"memory {unknown[0]!r} is unknown; choose from {', '.join(HEURISTIC_BASELINES)}")
    found = {name: np.zeros((len(cases), k), dtype=np.int64) for name in names}
    if "popularity" in found:
        best = popular_tracks(data)[:k]
        found["popularity"][:, : len(best)] = best
    own = [name for name in names if name in HISTORY_SCORERS]
    by_artist = _popular_by_artist(data) if "own_artists_unheard" in found else {}
    for user in tqdm(np.unique(cases.user_C), desc="memories", unit="user", mininterval=1, disable=not progress):
        past = _HistoryRecommender(data, int(user))
        for case in np.flatnonzero(cases.user_C == user):
            seen = past.count_before(int(cases.play_number_C[case]))
            if seen == 0:
                continue
            heard = past.played_mask(seen)
            for name in own:
                best = past.top_played_tracks(
                    HISTORY_SCORERS[name](past, seen, int(cases.request_at_C[case])), heard, k
                )
                found[name][case, : len(best)] = best
            if by_artist:
                queue = past.unplayed_artist_tracks(seen, heard, by_artist, k)
                found["own_artists_unheard"][case, : len(queue)] = queue
    return found


def popular_tracks(data: TrainingData) -> Ints:
    """Tracks by how often they were listened to before the test parts, most first, then by code."""
    plays = data.plays
    known = plays.track_P[plays.is_listened_P & (plays.part_P != PARTS.index("test"))]
    listens_V = np.bincount(known, minlength=len(data.vocabulary))
    listens_V[:2] = 0
    order = np.argsort(-listens_V, kind="stable")
    return order[: np.count_nonzero(listens_V)]


def _popular_by_artist(data: TrainingData) -> dict[int, Ints]:
    tracks = popular_tracks(data)
    artist = data.vocabulary.artist_of_track_V[tracks]
    order = np.argsort(artist, kind="stable")
    artists, first = np.unique(artist[order], return_index=True)
    lists = np.split(tracks[order], first[1:])
    return {int(one): most_first[:TRACKS_PER_ARTIST] for one, most_first in zip(artists, lists, strict=True)}


class _HistoryRecommender(ListeningHistory):
    """A past that gives lists of tracks."""

    def __init__(self, data: TrainingData, user: int) -> None:
        super().__init__(data, user)
        self._is_heard_V = np.zeros(len(data.vocabulary), dtype=bool)

    def top_played_tracks(self, score: Floats, heard: NDArray[np.bool_], k: int) -> Ints:
        """The `k` best of the tracks heard, ties by code."""
        score = np.where(heard, score, -np.inf)
        count = min(k, int(heard.sum()))
        floor = np.partition(score, len(score) - count)[len(score) - count]
        top = np.flatnonzero(score >= floor)
        best: Ints = self.tracks_T[top[np.argsort(-score[top], kind="stable")[:count]]]
        return best

    def unplayed_artist_tracks(self, seen: int, heard: NDArray[np.bool_], by_artist: dict[int, Ints], k: int) -> Ints:
        """Popular tracks of the user's artists, artist by artist, without those heard."""
        self._is_heard_V[self.tracks_T] = heard
        listens = np.bincount(self.artist_N[:seen], minlength=len(self.artists))
        order = np.argsort(-listens, kind="stable")[: np.count_nonzero(listens)]
        queue, length = [np.zeros(0, dtype=np.int64)], 0
        for artist in self.artists[order].tolist():
            tracks = by_artist.get(artist)
            if tracks is not None:
                queue.append(tracks[~self._is_heard_V[tracks]])
                length += len(queue[-1])
            if length >= k:
                break
        return np.concatenate(queue)[:k]


def _most_played(past: _HistoryRecommender, seen: int, _: int) -> Floats:
    return np.bincount(past.track_N[:seen], minlength=len(past.tracks_T)).astype(np.float64)


def _last_played(past: _HistoryRecommender, seen: int, _: int) -> Floats:
    last = np.zeros(len(past.tracks_T))
    last[past.track_N[:seen]] = past.known_at_N[:seen]
    return last


def _base_level_activation(past: _HistoryRecommender, seen: int, request_at: int) -> Floats:
    seconds_N = np.maximum(request_at - past.known_at_N[:seen], MIN_AGE_US) / 1e6
    strength_N = 1 / np.sqrt(seconds_N)
    return np.bincount(past.track_N[:seen], weights=strength_N, minlength=len(past.tracks_T)).astype(np.float64)


HISTORY_SCORERS: dict[str, Callable[[_HistoryRecommender, int, int], Floats]] = {
    "most_played": _most_played,
    "last_played": _last_played,
    "base_level_activation": _base_level_activation,
}
