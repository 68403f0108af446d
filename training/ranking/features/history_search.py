"""Base class of further searches: features of candidates and requests from the history of plays that hard search reads.

The constructor computes what depends on the request alone; candidate features reuse the occurrences that hard search
found. Each value is computed from its own candidate alone, and from plays that ended before the request. Shape letters:
B requests, C candidates, S track and artist, L plays, N newest plays, P occurrences, K columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import Array, History, Matches, Outcomes

MISSING_DISTANCE = 16.0
"""log2 of the distance in plays if there is none: larger than any history."""


class HistorySearch(ABC):
    """One search in a history; the class variables are its numbers of columns."""

    user_feature_count: ClassVar[int]
    candidate_feature_count: ClassVar[int]

    def __init__(self, history: History, outcomes: Outcomes, request_at_B: Array) -> None:
        self.history, self.outcomes, self.request_at_B = history, outcomes, request_at_B

    def newest_values(self, values_BL: Array, count: int) -> Array:
        """Return the values of the newest `count` plays, newest first [B, count]; 0 beyond the oldest."""
        position_BN = self.history.length_B[:, None] - 1 - np.arange(count)
        values_BN: Array = values_BL[np.arange(len(position_BN))[:, None], np.maximum(position_BN, 0)]
        values_BN[position_BN < 0] = 0
        return values_BN

    @abstractmethod
    def compute_user_features(self) -> Array:
        """Return `user_feature_count` features [B, K]."""

    @abstractmethod
    def compute_candidate_features(self, matches: Matches) -> Array:
        """Return `candidate_feature_count` features of the candidates [B, C, K]."""
