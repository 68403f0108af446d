"""The order of the answer: the fused order blended with what the ranker believes."""

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
    """Asks the ranker of a release; thread-safe."""

    def score(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """Task ▸ probabilities [1, C] of the items for the one request in `users`."""
        probabilities: Mapping[str, np.ndarray] = release.ranker.score(users, items_C[None, :])
        return probabilities

    def warm(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """The same, however long it takes."""
        return self.score(release, users, items_C)


def rank(
    ranking: Ranking, release: ServedRelease, scene: Scene, users: UserBatch, fused: RequestCandidates, metrics: Metrics
) -> RequestCandidates:
    """The candidates by the release's blend, the same function that the slate was evaluated with.

    With weight 0 the ranker is not asked; one that fails leaves the fused order and is counted.
    """
    if len(fused) == 0 or release.ranker is None or release.blend.weight == 0:
        return fused
    try:
        heads_C = release.blend.heads.score(ranking.score(release, users, fused.items_C), scene.name)[0]
    except Exception:
        logger.exception("the ranker failed; the answer keeps the fused order")
        metrics.skipped.labels("ranker").inc()
        return fused
    scores_C = blend_scores(fused.scores_C, heads_C, release.blend.weight)
    return fused.with_scores(scores_C).take(argsort_descending(scores_C))
