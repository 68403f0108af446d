"""Ranking stage: the fused order, blended with the scores of the ranker."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from serving.observability.metrics import Metrics
from serving.pipeline.fuse import RequestCandidates
from serving.releases.served_release import ServedRelease
from training.data.user_batch import UserBatch
from training.slate.blend import argsort_descending, blend_scores
from training.slate.scenes import Scene

logger = logging.getLogger(__name__)


class Ranking:
    """Calls the ranker of a release; thread-safe."""

    def score(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """Task → probabilities [1, C] of the items, for the one request in `users`."""
        probabilities: Mapping[str, np.ndarray] = release.ranker.score(users, items_C[None, :])
        return probabilities

    def warm(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """The same as `score`, without a timeout."""
        return self.score(release, users, items_C)


def rank(
    ranking: Ranking, release: ServedRelease, scene: Scene, users: UserBatch, fused: RequestCandidates, metrics: Metrics
) -> RequestCandidates:
    """Rank the candidates with the release's blend, the function that the evaluation uses.

    With weight 0 the ranker is not called. If it fails, the fused order is kept and the failure is counted.
    """
    if len(fused) == 0 or release.ranker is None or release.blend.weight == 0:
        return fused
    try:
        task_scores_C = release.blend.heads.score(ranking.score(release, users, fused.items_C), scene.name)[0]
    except Exception:
        logger.exception("The ranker failed; keeping the fused order.")
        metrics.skipped.labels("ranker").inc()
        return fused
    scores_C = blend_scores(fused.scores_C, task_scores_C, release.blend.weight)
    return fused.with_scores(scores_C).take(argsort_descending(scores_C))
