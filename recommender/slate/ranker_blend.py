"""Blending of the fused order and ranker scores into the order of repeats and the order of discoveries.

`score = (1 - b) · fused + b · ranker`: the fused score is 1 for the first candidate of a kind and decreases with the
rank, and the ranker's task probabilities are combined into one score in 0..1 (`recommender.ranking.task_weights`).
Repeats and discoveries have their own weight b, since a ranker that learned mostly from repeats orders them well, but
may order discoveries worse than the channels that found them. The weights, the strength of diversity and the share of
discoveries in the visible list are tuned on validation slates. Evaluation and serving call the same functions.

Legend: B requests, C candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recommender.array_types import AnyFloats, Bools
from recommender.ranking.task_weights import ANY_SCENE, TaskWeights
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.feedback import FeedbackWeights
from recommender.slate.fusion import SCORE_HALF_LIFE
from recommender.slate.json_file import JsonFile

BLEND_WEIGHT_GRID = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)

Share = Annotated[float, Field(ge=0, le=1)]


def scale_by_max(scores_BC: AnyFloats) -> AnyFloats:
    """Positive scores divided by the largest of their request, so the best gets 1."""
    largest = np.max(scores_BC, axis=-1, keepdims=True, initial=0.0)
    return np.divide(scores_BC, largest, out=np.zeros_like(scores_BC), where=largest > 0)


def fused_scores(is_discovery_BC: Bools) -> AnyFloats:
    """Score of each candidate by its rank among the candidates of its kind: 1 for the first, half of it
    SCORE_HALF_LIFE ranks later.

    Args:
        is_discovery_BC: Kind of each candidate, in fused order.
    """
    rank_BC = np.where(is_discovery_BC, is_discovery_BC.cumsum(-1), (~is_discovery_BC).cumsum(-1)) - 1
    return SCORE_HALF_LIFE / (SCORE_HALF_LIFE + rank_BC)


def blend_scores(fused_BC: AnyFloats, probability_BC: AnyFloats, weight_BC: AnyFloats | float) -> AnyFloats:
    """Blended scores of one request [C] or of many [B, C].

    Args:
        fused_BC: Result of `fused_scores`.
        probability_BC: Ranker scores in 0..1.
        weight_BC: b, of all candidates or of each.
    """
    return (1 - weight_BC) * fused_BC + weight_BC * probability_BC


def argsort_descending(scores_BC: AnyFloats) -> NDArray[np.int64]:
    """Candidate positions of each request, best first; ties keep their order."""
    return np.argsort(-scores_BC, axis=-1, kind="stable")


def cut(table: CandidateTable, change_C: AnyFloats | float, count: int) -> Bools:
    """Which fused candidates of one request are ranked: the best `count` after the user's reactions, bool [C]."""
    is_ranked_C = np.zeros(len(table), dtype=bool)
    is_ranked_C[argsort_descending(table.score_C * np.exp(change_C))[:count]] = True
    return is_ranked_C


@dataclass(frozen=True)
class Blend(JsonFile):
    """Tuned parameters of the served order."""

    weight: Share  # weight b of the ranker among repeats
    heads: TaskWeights = field(default_factory=TaskWeights)  # how tasks combine into the ranker's score
    diversity: Share = 0.0  # strength of diversity
    discovery_weight: Share = 0.0  # weight b of the ranker among discoveries
    # share of discoveries in the visible list by scene; "" for all other scenes
    discovery_shares: Mapping[str, Share] = field(default_factory=dict)
    feedback: FeedbackWeights = field(default_factory=FeedbackWeights)  # how reactions raise and lower tracks

    @property
    def uses_ranker(self) -> bool:
        """Whether the order depends on the ranker."""
        return self.weight > 0 or self.discovery_weight > 0

    def discovery_share(self, scene: str) -> float | None:
        """Share of discoveries in the visible list of a scene; None if it was not tuned."""
        return self.discovery_shares.get(scene, self.discovery_shares.get(ANY_SCENE))

    def score(self, is_discovery_BC: Bools, probability_BC: AnyFloats) -> AnyFloats:
        """Scores of candidates in fused order, comparable within repeats and within discoveries."""
        weight_BC = np.where(is_discovery_BC, self.discovery_weight, self.weight)
        return blend_scores(fused_scores(is_discovery_BC), probability_BC, weight_BC)

    def rank(
        self, table: CandidateTable, task_score_C: AnyFloats | None, change_C: AnyFloats | float = 0.0
    ) -> CandidateTable:
        """The fused candidates of one request by their blended scores, best first.

        Args:
            table: Candidates in fused order.
            task_score_C: Combined scores of the ranker's heads; None: fused scores alone.
            change_C: Change of the logarithm of each score, by the user's reactions.
        """
        is_discovery_C = table.is_discovery_C
        score_C = fused_scores(is_discovery_C) if task_score_C is None else self.score(is_discovery_C, task_score_C)
        score_C = score_C * np.exp(change_C)
        return table.scored(score_C).take(argsort_descending(score_C))
