"""Scores of the candidates of several requests in one pass of the ranker. Shape letters: B requests, C candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from serving.releases.served_release import ServedRelease
from training.data.user_batch import UserBatch


def score_together(
    release: ServedRelease, users: Sequence[UserBatch], items: Sequence[np.ndarray]
) -> list[dict[str, np.ndarray]]:
    """`Ranking.score` of each request, equal up to rounding.

    Args:
        release: Release with a ranker.
        users: B requests of one user each.
        items: Items [C] of each request; C may differ.

    Returns:
        Per request, task → probabilities [1, C].
    """
    items_BC = np.zeros((len(users), max(len(items_C) for items_C in items)), dtype=np.int64)  # 0: no candidate
    for row, items_C in enumerate(items):
        items_BC[row, : len(items_C)] = items_C
    scores = release.ranker.score(UserBatch.concatenate(users), items_BC)
    return [
        {task: score_BC[row : row + 1, : len(items_C)] for task, score_BC in scores.items()}
        for row, items_C in enumerate(items)
    ]
