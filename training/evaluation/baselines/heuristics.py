"""Names of all heuristic baselines, and those without parameters: repeat consumption from the user's history, and popularity.

`most_played`, `last_played`; `base_level_activation`: the ACT-R sum over past listens of (seconds ago)^-0.5, with at
least one minute (Anderson and Schooler 1991; for music Reiter-Haas et al. 2021); `own_artists_unheard`: the most
popular tracks that the user has not played for any duration, of the artists that the user listened to most; `popularity`: tracks by
number of listens before the test part. A listen lasts at least 30 s. The history is everything before the request.
Legend: C cases, K candidates, N plays of one user, T tracks of one user.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from training.data.plays import PARTS
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.evaluation.baselines.base_level_activation import BaseLevelActivation, BaseLevelActivationConfig
from training.evaluation.baselines.user_plays import Floats, Ints, UserCases

UNTUNED_BASELINES = ("most_played", "last_played", "base_level_activation", "own_artists_unheard", "popularity")
TUNED_BASELINES = ("tuned_base_level_activation", "tifu_knn", "up_cf", "decay_pop")  # keys of tuned_heuristics.GRIDS
HEURISTIC_BASELINES = (*TUNED_BASELINES, *UNTUNED_BASELINES)
TRACKS_PER_ARTIST = 20


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
    by_artist = _popular_by_artist(data) if "own_artists_unheard" in lists else {}
    for user in tqdm(
        np.unique(cases.user_C), desc="heuristic baselines", unit="user", mininterval=1, disable=not progress
    ):
        rows = np.flatnonzero(cases.user_C == user)
        user_cases = UserCases.from_cases(data, cases, rows)
        for name in lists.keys() & HISTORY_BASELINES.keys():
            lists[name][rows] = HISTORY_BASELINES[name].recall(user_cases, k)
        if by_artist:
            for case, row in enumerate(rows.tolist()):
                queue = _unplayed_artist_tracks(data, user_cases, case, by_artist, k)
                lists["own_artists_unheard"][row, : len(queue)] = queue
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


def _unplayed_artist_tracks(
    data: TrainingData, cases: UserCases, case: int, by_artist: dict[int, Ints], k: int
) -> Ints:
    """Popular tracks without a play before a case, from the most to the least listened artist."""
    plays, seen = cases.plays, cases.plays.count_before(int(cases.play_number_C[case]))
    track_N = plays.tracks_T[plays.track_N[:seen]]
    artists, listens = np.unique(
        data.vocabulary.artist_of_track_V[track_N[plays.is_listened_N[:seen]]], return_counts=True
    )
    queue, length = [np.zeros(0, dtype=np.int64)], 0
    for artist in artists[np.argsort(-listens, kind="stable")].tolist():
        if artist in by_artist:
            queue.append(by_artist[artist][~np.isin(by_artist[artist], track_N)])
            length += len(queue[-1])
        if length >= k:
            break
    return np.concatenate(queue)[:k]


class LastPlayed(BaseLevelActivation):
    """Recommends the tracks listened to last."""

    def scores(self, cases: UserCases, case: int) -> Floats:
        """When each track was listened to last before a case, µs UTC, [T]; 0 for tracks without a listen."""
        plays, seen = cases.plays, cases.plays.count_before(int(cases.play_number_C[case]))
        listens = np.flatnonzero(plays.is_listened_N[:seen])
        last_T = np.zeros(len(plays.tracks_T))
        last_T[plays.track_N[listens]] = plays.known_at_N[listens]
        return last_T


HISTORY_BASELINES = {
    "most_played": BaseLevelActivation(BaseLevelActivationConfig(decay=0.0, skip=0.0)),
    "last_played": LastPlayed(BaseLevelActivationConfig()),
    "base_level_activation": BaseLevelActivation(BaseLevelActivationConfig(decay=0.5, skip=0.0)),
}
