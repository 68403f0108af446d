"""Weighted reciprocal rank fusion; `training.evaluation.reciprocal_rank_tuning` tunes the weights on sessions.

Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods" (SIGIR
2009). Differences: each channel has a weight, and ranks are counted separately among repeats and among discoveries.

Legend: B requests, C candidates of all requests, H sources, X candidates of one request, T targets found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recommender.array_types import Doubles
from recommender.slate.candidate_table import CandidateTable

ZERO_WEIGHT_EPSILON = 1e-9


@dataclass(frozen=True)
class ReciprocalRank:
    """`score = Σ weight / (constant + rank + 1)` over the channels that found a candidate.

    Candidates found only by channels without a weight follow all others. Without any weights, all channels weigh the
    same.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    constant: float = 60.0

    def scores(self, table: CandidateTable) -> Doubles:
        """Positive scores of all candidates that a source found, [C]."""
        return self.weighted_sum(reciprocal_ranks(table.rank_CH.T, self.constant), table.sources)

    def weighted_sum(self, gains: Doubles, channels: tuple[str, ...]) -> Doubles:
        """Weighted sum over channels of gains [H, ...].

        Channels are added one by one, since a matrix product may round differently for one request than for many.
        """
        total: Doubles = np.zeros(gains.shape[1:])
        for name, gain in zip(channels, gains, strict=True):
            total += max(self.weights.get(name, 0.0) if self.weights else 1.0, ZERO_WEIGHT_EPSILON) * gain
        return total


def reciprocal_ranks(ranks: NDArray[np.int32], constant: float) -> Doubles:
    """Unweighted gain of each rank; 0 for candidates that the channel did not find."""
    return np.where(ranks >= 0, 1 / (constant + np.maximum(ranks, 0) + 1), 0.0)
