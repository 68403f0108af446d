"""Ranking stage: the fused orders of repeats and of discoveries, blended with the scores of the ranker."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from serving.observability.metrics import Metrics
from serving.pipeline.stages.fuse import RequestCandidates
from serving.releases.served_release import ServedRelease
from training.data.user_batch import UserBatch
from training.recall.channel import REPEAT_CHANNELS
from training.slate.blend import argsort_descending, fused_scores
from training.slate.feedback import RESTING, reactions_of
from training.slate.scene_settings import Scene

logger = logging.getLogger(__name__)

REPEATS = frozenset(REPEAT_CHANNELS)
RANKER_FAILED = "the ranker failed; tracks are in the order of the recall channels"


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
    ranking: Ranking,
    release: ServedRelease,
    scene: Scene,
    users: UserBatch,
    fused: RequestCandidates,
    changes_C: np.ndarray,
    metrics: Metrics,
    degraded: dict[str, str],
) -> RequestCandidates:
    """Rank the candidates with the release's blend, the function that the evaluation uses.

    Scores are comparable among tracks that the user has played, and among others. The user's reactions raise and
    lower them by `changes_C`, see `read_reactions`. With weights of 0 the ranker is not
    called. If it fails, the fused order is kept, and the failure is counted and added to `degraded`, see `Trace`.
    """
    if len(fused) == 0:
        return fused
    is_discovery_C = find_discoveries(users, fused)
    scores_C = fused_scores(is_discovery_C)
    if release.ranker is not None and release.blend.uses_ranker:
        try:
            task_scores_C = release.blend.heads.score(ranking.score(release, users, fused.items_C), scene.name)[0]
            scores_C = release.blend.score(is_discovery_C, task_scores_C)
        except Exception:
            logger.exception("The ranker failed; keeping the fused order.")
            metrics.skipped.labels("ranker").inc()
            degraded["ranker"] = RANKER_FAILED
    scores_C = scores_C * np.exp(changes_C)
    return fused.with_scores(scores_C).take(argsort_descending(scores_C))


def read_reactions(release: ServedRelease, scene: Scene, users: UserBatch, items_C: np.ndarray) -> np.ndarray:
    """Change of the logarithm of each candidate's score by the user's reactions, [C]."""
    reactions = reactions_of(users)
    changes_C = release.blend.feedback.log_factors(reactions.evidence(items_C, release.catalog))
    if scene.excludes_session_plays:
        resting = reactions.resting_artists(release.catalog)
        changes_C = np.where(np.isin(release.catalog.main_artist_V[items_C], resting), RESTING, changes_C)
    return changes_C


def best_after_reactions(fused: RequestCandidates, changes_C: np.ndarray, count: int) -> np.ndarray:
    """Places of the best `count` fused candidates after the user's reactions, in fused order."""
    places: np.ndarray = np.sort(argsort_descending(fused.scores_C * np.exp(changes_C))[:count])
    return places


def find_discoveries(users: UserBatch, candidates: RequestCandidates) -> np.ndarray:
    """Which candidates are new to the user of the one request in `users`, or were when they were listed today, bool [C]."""
    is_played_C: np.ndarray = users.history_items.contains(candidates.items_C[None, :])[0]
    is_repeat = [not REPEATS.isdisjoint(channels) for channels in candidates.channels_C]
    is_discovery_C: np.ndarray = ~(is_played_C | np.array(is_repeat, dtype=bool))
    if candidates.new_when_listed:
        is_discovery_C |= np.isin(candidates.items_C, list(candidates.new_when_listed))
    return is_discovery_C
