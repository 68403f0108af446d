"""Ranking stage: the fused orders of repeats and of discoveries, blended with the scores of the ranker."""

from __future__ import annotations

import logging

import numpy as np

from serving.observability.metrics import Metrics
from serving.pipeline.user_state import UserState
from serving.releases.served_release import ServedRelease
from training.slate.blend import cut
from training.slate.candidate_table import CandidateTable
from training.slate.feedback import reactions_of, score_changes
from training.slate.scene_settings import Scene

logger = logging.getLogger(__name__)

RANKER_FAILED = "the ranker failed; tracks are in the order of the recall channels"


def rank(
    release: ServedRelease,
    scene: Scene,
    user: UserState,
    fused: CandidateTable,
    metrics: Metrics,
    degraded: dict[str, str],
) -> tuple[CandidateTable, CandidateTable]:
    """The best candidates of the scene by the release's blend, and the others in fused order, with scores of 0.

    The user's reactions raise and lower candidates before the cut and in the scores. With weights of 0 the ranker is not
    called. If it fails, the fused order is kept, and the failure is counted and added to `degraded`, see `Trace`. The last result of
    the scene is kept in the state.
    """
    known = user.ranked.get(scene.name)
    if known is not None and known[0].has_order_of(fused):
        return known[1]
    blend, catalog, is_complete = release.blend, release.catalog, True
    reactions = reactions_of(user.users)
    change_C = score_changes(reactions, blend.feedback, catalog, fused.item_C, scene.excludes_session_plays)
    is_ranked_C = cut(fused, change_C, scene.max_ranked_candidates)
    ranked, others, task_score_C = fused.take(is_ranked_C), fused.take(~is_ranked_C), None
    if release.ranker is not None and blend.uses_ranker and len(ranked):
        try:
            probabilities = release.ranker.score(user.in_scene(scene.name), ranked.item_C[None, :])
            task_score_C = blend.heads.score(probabilities, scene.name)[0]
        except Exception:
            logger.exception("The ranker failed; keeping the fused order.")
            metrics.skipped.labels("ranker").inc()
            degraded["ranker"], is_complete = RANKER_FAILED, False
    result = blend.rank(ranked, task_score_C, change_C[is_ranked_C]), others.scored(np.zeros(len(others)))
    if is_complete:
        user.ranked[scene.name] = fused, result
    return result
