"""Base-level activation with decay and weight of skips tuned on validation.

`activation = Σ w (seconds since each play) ** -decay` with w = 1 for a listen and `skip` for a skip: Anderson, Bothell,
Byrne, Douglass, Lebiere, Qin, "An Integrated Theory of the Mind" (2004); used for music by Tran, Tricard, Hennequin,
"Transformers Meet ACT-R" (2024), arXiv 2408.16578.

Differences: no logarithm, which does not change the order; ages below a minute count as a minute; skips count. The
channel `favourites` scores in the same way, over the newest plays of its sequence view; this baseline reads all plays.

Legend: C cases, K candidates, T tracks of one user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from training.data.arrays import top_k_positions
from training.evaluation.baselines.user_plays import Ints, TrainSessions, UserCases

MIN_AGE_S = 60.0


@dataclass(frozen=True)
class BaseLevelActivation:
    """Recommends played tracks, also those outside the catalog. Nothing is learned from other users."""

    decay: float = 0.5  # exponent of the age
    skip: float = 0.2  # weight of a skip relative to a listen

    def fit(self, sessions: TrainSessions) -> Self:
        """The baseline itself."""
        del sessions
        return self

    def recall(self, cases: UserCases, k: int) -> Ints:
        """Lists [C, K], best first, ties by smaller track code, padded with 0."""
        lists_CK, plays = np.zeros((len(cases), k), dtype=np.int64), cases.plays
        for case, number in enumerate(cases.play_number_C.tolist()):
            seen = plays.count_before(number)
            age_s = np.maximum((cases.request_at_C[case] - plays.known_at_N[:seen]) / 1e6, MIN_AGE_S)
            strength = np.exp(-self.decay * np.log(age_s))  # faster than a power
            weight = np.where(plays.is_listened_N[:seen], strength, self.skip * strength)
            score_T = np.bincount(plays.track_N[:seen], weights=weight, minlength=len(plays.tracks_T))
            count = min(k, int((score_T > 0).sum()))
            lists_CK[case, :count] = plays.tracks_T[top_k_positions(score_T, count)] if count else 0
        return lists_CK
