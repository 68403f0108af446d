"""A further search: numbers about candidates, and about the request, from the history of plays that hard search reads.

Whatever depends on the request alone is made once, when the search is made; candidates are asked after in the
occurrences that hard search found. Shape letters: B requests, C candidates, L plays, P occurrences. Every number is
computed from its own candidate alone, and from plays that had ended before the request.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import Array, History, Matches, Outcomes, TrackArtistMatches

MISSING_DISTANCE = 16.0
"""log2 of a distance in plays, where there is none: further away than any history reaches."""


class Search(ABC):
    """One way to ask a history. `user_numbers`, `candidate_numbers`: how many columns it gives."""

    user_feature_count: ClassVar[int]
    candidate_feature_count: ClassVar[int]

    def __init__(self, history: History, outcomes: Outcomes, request_at_B: Array) -> None:
        self.history, self.outcomes, self.request_at_B = history, outcomes, request_at_B

    def newest_values(self, values_BL: Array, count: int) -> Array:
        """The last `count` plays' values, the newest first [B, count]; 0 where there are none."""
        place_BN = self.history.length_B[:, None] - 1 - np.arange(count)
        values_BN = np.take_along_axis(values_BL, np.maximum(place_BN, 0), axis=1)
        values_BN[place_BN < 0] = 0
        return values_BN

    def plays_ago(self, match: Matches) -> Array:
        """How many plays ago each occurrence was, 0 the newest play [P]."""
        ago_P: Array = self.history.length_B[match.user_P] - 1 - match.position_P
        return ago_P

    def is_listened(self, match: Matches) -> Array:
        """Whether each occurrence was listened to [P]."""
        listened_P: Array = self.outcomes.outcome_BL[match.user_P, match.position_P] > 0
        return listened_P

    @abstractmethod
    def compute_user_features(self) -> list[Array]:
        """`user_numbers` columns [B]."""

    @abstractmethod
    def compute_candidate_features(self, found: TrackArtistMatches) -> list[Array]:
        """`candidate_numbers` columns [B, C]."""
