"""Content similarity compared with a direct loop over plays."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.ranking.features.content_similarity import (
    CONTENT_FEATURES,
    KERNEL_WIDTH,
    SIMILAR_PLAYS,
)
from recommender.ranking.features.user_features import HOUR_US
from tests.support.training.ranking_cases import (
    CONTENT,
    NOW,
    SKIP,
    assert_equal_matches,
    ranking_features,
)

ITEMS = np.array([0, 1, 2, 5, 7, 12, 35])
"""Padding, the unknown track, a track without content, and others."""


def expected(events: list[tuple[int, int, int]], item: int) -> list[float]:
    """Return the columns of one candidate; plays are three minutes apart, which is one session."""
    row_VW = CONTENT.row_VW.astype(np.float32)
    known = [(track, behavior) for track, behavior, _ in events[-SIMILAR_PLAYS:] if row_VW[track].any()]
    listened = [row_VW[track] @ row_VW[item] for track, behavior in known if behavior != SKIP]
    skipped = [row_VW[track] @ row_VW[item] for track, behavior in known if behavior == SKIP]
    columns = [value for cosines in (listened, skipped) for value in (max(cosines, default=0), mean(cosines))]
    activation = 0.0
    for track, _, ended_at in events if row_VW[item].any() else []:
        kernel = np.exp((row_VW[track] @ row_VW[item] - 1) / KERNEL_WIDTH) if row_VW[track].any() else 0
        activation += kernel * ((NOW - ended_at) / HOUR_US) ** -0.5
    return [*columns, mean(listened), np.log2(1 + activation), float(row_VW[item].any())]


def mean(values: list[float]) -> float:
    return sum(values) / max(len(values), 1)


@pytest.mark.parametrize("count", [0, 1, 8, 70])
def test_similarities_equal_direct_computation(count: int) -> None:
    assert_equal_matches(ranking_features(content=True), count, ITEMS, CONTENT_FEATURES, expected)
