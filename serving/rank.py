"""The order of the answer: the fused order blended with what the ranker believes."""

from __future__ import annotations

import logging

import numpy as np

from serving.fuse import Fused
from serving.metrics import Metrics
from serving.served_release import ServedRelease
from training.features import UserBatch

TASK = "not_skipped"

logger = logging.getLogger(__name__)


def rank(release: ServedRelease, users: UserBatch, fused: Fused, metrics: Metrics) -> Fused:
    """The candidates by `(1 - b) · fused + b · P(not skipped)`, b the release's, chosen on the validation slate.

    The fused score is scaled to 0..1 over the candidates of the request. With b = 0 the ranker is not asked; one that
    fails leaves the fused order and is counted.
    """
    if len(fused) == 0 or release.ranker is None or release.blend == 0:
        return fused
    try:
        probability_C = release.ranker.score(users, fused.items_C[None, :])[TASK][0]
    except Exception:
        logger.exception("the ranker failed; the answer keeps the fused order")
        metrics.skipped.labels("ranker").inc()
        return fused
    scores_C = (1 - release.blend) * fused.scores_C + release.blend * np.asarray(probability_C)
    return fused.scored(scores_C).take(np.argsort(-scores_C, kind="stable"))
