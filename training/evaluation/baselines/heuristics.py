"""Names of all heuristic baselines, and those without parameters: repeat consumption from the user's history, and popularity.

`most_played`, `last_played`; `base_level_activation`: the ACT-R sum over past listens of (seconds ago)^-0.5, with at
least one minute (Anderson and Schooler 1991; for music Reiter-Haas et al. 2021); `own_artists_unheard`: the most
popular tracks that the user has not played for any duration, of the artists that the user listened to most; `popularity`: tracks by
number of listens before the test part. A listen lasts at least 30 s. The history is everything before the request.
Legend: C cases, K candidates, N past listens, T tracks of one user.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.data.plays import PARTS
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.evaluation.baselines.listen_matrix import ListeningHistory
from training.index.top_k import top_k_positions

UNTUNED_BASELINES = ("most_played", "last_played", "base_level_activation", "own_artists_unheard", "popularity")
TUNED_BASELINES = ("tuned_base_level_activation", "tifu_knn", "up_cf", "decay_pop")  # keys of tuned_heuristics.GRIDS
HEURISTIC_BASELINES = (*TUNED_BASELINES, *UNTUNED_BASELINES)
MIN_AGE_US = 60_000_000
TRACKS_PER_ARTIST = 20

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def recall(
    data: TrainingData, cases: RecallCases, k: int, names: Sequence[str] = UNTUNED_BASELINES, progress: bool = True
) -> dict[str, Ints]:
    """Lists [C, K] of each baseline, best first, padded with 0.

    Args:
        data: Data with the plays.
        cases: Cases to recommend for.
        k: Length of the lists.
        names: Baselines.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: A name is not one of UNTUNED_BASELINES.
    """
    unknown = sorted(set(names) - set(UNTUNED_BASELINES))
    if unknown:
        raise ValueError(f"heuristic baseline {unknown[0]!r} is unknown; choose from {', '.join(UNTUNED_BASELINES)}")
    lists = {name: np.zeros((len(cases), k), dtype=np.int64) for name in names}
    if "popularity" in lists:
        best = popular_tracks(data)[:k]
        lists["popularity"][:, : len(best)] = best
    history_names = [name for name in names if name in HISTORY_SCORERS]
    by_artist = _popular_by_artist(data) if "own_artists_unheard" in lists else {}
    for user in tqdm(
        np.unique(cases.user_C), desc="heuristic baselines", unit="user", mininterval=1, disable=not progress
    ):
        history = _HistoryRecommender(data, int(user))
        for case in np.flatnonzero(cases.user_C == user):
            play_number = int(cases.play_number_C[case])
            seen = history.count_before(play_number)
            if seen == 0:
                continue
            is_listened_T = history.listened_mask(seen)
            for name in history_names:
                best = history.top_listened_tracks(
                    HISTORY_SCORERS[name](history, seen, int(cases.request_at_C[case])), is_listened_T, k
                )
                lists[name][case, : len(best)] = best
            if by_artist:
                queue = history.unplayed_artist_tracks(seen, play_number, by_artist, k)
                lists["own_artists_unheard"][case, : len(queue)] = queue
    return lists


def popular_tracks(data: TrainingData) -> Ints:
    """Tracks by descending number of listens before the test part; ties by code."""
    plays = data.plays
    listened = plays.track_P[plays.is_listened_P & (plays.part_P != PARTS.index("test"))]
    listens_V = np.bincount(listened, minlength=len(data.vocabulary))
    listens_V[:2] = 0
    order = np.argsort(-listens_V, kind="stable")
    return order[: np.count_nonzero(listens_V)]


def _popular_by_artist(data: TrainingData) -> dict[int, Ints]:
    tracks = popular_tracks(data)
    artist = data.vocabulary.artist_of_track_V[tracks]
    order = np.argsort(artist, kind="stable")
    artists, first = np.unique(artist[order], return_index=True)
    lists = np.split(tracks[order], first[1:])
    return {int(code): tracks_A[:TRACKS_PER_ARTIST] for code, tracks_A in zip(artists, lists, strict=True)}


class _HistoryRecommender(ListeningHistory):
    """Listening history of one user that recommends tracks."""

    def __init__(self, data: TrainingData, user: int) -> None:
        super().__init__(data, user)
        self._is_played_V = np.zeros(len(data.vocabulary), dtype=bool)

    def top_listened_tracks(self, score: Floats, is_listened_T: NDArray[np.bool_], k: int) -> Ints:
        """The `k` tracks of past listens with the highest scores; ties by code."""
        score = np.where(is_listened_T, score, -np.inf)
        count = min(k, int(is_listened_T.sum()))
        best: Ints = self.tracks_T[top_k_positions(score, count)]
        return best

    def unplayed_artist_tracks(self, seen: int, play_number: int, by_artist: dict[int, Ints], k: int) -> Ints:
        """Popular tracks without a play before `play_number`, from the most to the least listened artist."""
        self._is_played_V[self.played_tracks_H] = self.first_play_number_H < play_number
        listens = np.bincount(self.artist_N[:seen], minlength=len(self.artists))
        order = np.argsort(-listens, kind="stable")[: np.count_nonzero(listens)]
        queue, length = [np.zeros(0, dtype=np.int64)], 0
        for artist in self.artists[order].tolist():
            tracks = by_artist.get(artist)
            if tracks is not None:
                queue.append(tracks[~self._is_played_V[tracks]])
                length += len(queue[-1])
            if length >= k:
                break
        return np.concatenate(queue)[:k]


def _most_played(history: _HistoryRecommender, seen: int, _: int) -> Floats:
    return np.bincount(history.track_N[:seen], minlength=len(history.tracks_T)).astype(np.float64)


def _last_played(history: _HistoryRecommender, seen: int, _: int) -> Floats:
    last = np.zeros(len(history.tracks_T))
    last[history.track_N[:seen]] = history.known_at_N[:seen]
    return last


def _base_level_activation(history: _HistoryRecommender, seen: int, request_at: int) -> Floats:
    seconds_N = np.maximum(request_at - history.known_at_N[:seen], MIN_AGE_US) / 1e6
    strength_N = 1 / np.sqrt(seconds_N)
    return np.bincount(history.track_N[:seen], weights=strength_N, minlength=len(history.tracks_T)).astype(np.float64)


HISTORY_SCORERS: dict[str, Callable[[_HistoryRecommender, int, int], Floats]] = {
    "most_played": _most_played,
    "last_played": _last_played,
    "base_level_activation": _base_level_activation,
}
