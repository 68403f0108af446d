"""DecayPop: popularity of tracks with exponentially decaying weights of listens.

Baseline of Ploshkin et al., "Yambda-5B: A Large-Scale Multi-modal Dataset for Ranking and Retrieval" (2025), arXiv
2505.22238. A track scores `Σ 2 ** (-age / half-life)` over the listens of all users, and everyone gets the same list.

Differences: scores are those at the beginning of the day (UTC) of the request, and listens of that day do not count.

Legend: C cases, K candidates, N listens, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.evaluation.baselines.user_plays import Ints

DAY_US = 86_400_000_000


@dataclass(frozen=True)
class DecayPopConfig:
    """Parameter of DecayPop."""

    half_life_days: float  # infinite: popularity of all time

    def recall(self, data: TrainingData, cases: RecallCases, k: int) -> Ints:
        """Lists [C, K] of tracks of the catalog, best first, ties by smaller track code, padded with 0.

        One pass over the listens and the days of the requests in order. From one day to the next all scores shrink by
        the same factor and only grow by new listens, so the k-th best score bounds the next one from below.
        """
        plays = data.plays
        rows = np.flatnonzero(plays.is_listened_P & data.catalog_V[plays.track_P])
        rows = rows[np.argsort(plays.known_at_P[rows], kind="stable")]
        track_N, days_N = plays.track_P[rows], plays.known_at_P[rows] / DAY_US
        days, of_case = np.unique(cases.request_at_C // DAY_US, return_inverse=True)
        end_of_day = np.searchsorted(days_N, days)
        lists = np.zeros((len(days), k), dtype=np.int64)
        score_V = np.zeros(len(data.vocabulary))
        begin, threshold = 0, 0.0
        for number, (day, end) in enumerate(zip(days.tolist(), end_of_day.tolist(), strict=True)):
            if number:
                shrunk = 2.0 ** (-(day - days[number - 1]) / self.half_life_days)
                score_V *= shrunk
                threshold *= shrunk * (1 - 1e-9)  # not above the k-th best score after rounding
            weight = 2.0 ** ((days_N[begin:end] - day) / self.half_life_days)
            tracks, place = np.unique(track_N[begin:end], return_inverse=True)
            score_V[tracks] += np.bincount(place, weight, minlength=len(tracks))
            candidates = np.flatnonzero((score_V >= threshold) & (score_V > 0))
            best = candidates[np.argsort(-score_V[candidates], kind="stable")[:k]]
            lists[number, : len(best)] = best
            threshold = score_V[best[-1]] if len(best) == k else 0.0
            begin = end
        return lists[of_case]
