"""Recall and ranking in the model workers of the release: the same interface as `Recall` and `Ranking`.

A failing worker degrades the response as a failing channel would: channels are left out, and without the ranker the fused
order is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from config.settings import Settings
from serving.observability.metrics import Metrics
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import INTEREST_CHANNEL, Recall, RecallResult, UserInterests
from serving.releases.served_release import ReleaseParts, ServedRelease
from serving.runtime import Runtime
from serving.workers.release_workers import ReleaseWorkers
from serving.workers.worker_connection import WorkerFailed
from training.data.user_batch import UserBatch
from training.recall.channel import Candidates
from training.recall.neural_channel import ItemsBetween
from training.recall.reason import Reason

WARM_UP_TIMEOUT_S = 120.0
CALL_TIMEOUT_S = 5.0
"""How long a request waits for the ranker or for reasons."""
RECALL_GRACE_S = 1.0
"""How much longer than the channels' deadline a request waits for the worker, which starts no channel after the deadline."""

logger = logging.getLogger(__name__)


def build_runtime(here: Settings, metrics: Metrics) -> Runtime:
    """A runtime whose models run in `model_workers` processes; everything else, and all state, is in this process."""
    deadline_s = here.recall_deadline_ms / 1000

    def start_workers(folder: Path) -> ReleaseWorkers:
        return ReleaseWorkers(folder, here.model_workers, deadline_s, here.release_public_key)

    parts = ReleaseParts(has_models=False)
    return Runtime(
        here, metrics, WorkerRecall(metrics, deadline_s), WorkerRanking(metrics), parts, start_workers=start_workers
    )


class WorkerRecall(Recall):
    """Recall in the workers of the release; the deadline of the channels holds there."""

    def __init__(self, metrics: Metrics, deadline_s: float) -> None:
        self._metrics, self._timeout_s = metrics, deadline_s + RECALL_GRACE_S

    def recall_for_users(
        self, release: ServedRelease, users: UserBatch, k: int, only: Sequence[str] | None = None
    ) -> RecallResult:
        """See `Recall.recall_for_users`."""
        names = release.channels if only is None else only
        return self._call_recall(release, names, "recall_for_users", k, only, users=users)

    def recall_continuation(self, release: ServedRelease, items: np.ndarray, title: str, k: int) -> RecallResult:
        """See `Recall.recall_continuation`."""
        return self._call_recall(release, release.continuation_sources, "recall_continuation", items, title, k)

    def recall_between(
        self, release: ServedRelease, name: str, first: int, last: int, points: int, k: int
    ) -> ItemsBetween | None:
        """See `Recall.recall_between`."""
        try:
            found: ItemsBetween | None = self._call(
                release, self._timeout_s, "recall_between", name, first, last, points, k
            )
        except WorkerFailed:
            logger.exception("a model worker failed; it found no items between two tracks")
            self._metrics.skipped.labels(name).inc()
            return None
        return found

    def reasons(
        self, release: ServedRelease, users: UserBatch, items_of: Mapping[str, list[int]]
    ) -> dict[str, list[Reason]]:
        """See `Recall.reasons`."""
        try:
            found: dict[str, list[Reason]] = self._call(release, CALL_TIMEOUT_S, "reasons", dict(items_of), users=users)
        except WorkerFailed:
            logger.exception("a model worker failed; it gives no reasons")
            return {}
        return found

    def find_user_interests(
        self, release: ServedRelease, users: UserBatch, items_of: Mapping[str, np.ndarray]
    ) -> UserInterests | None:
        """See `Recall.find_user_interests`."""
        if INTEREST_CHANNEL not in release.channels:
            return None
        found: UserInterests | None = self._call(
            release, CALL_TIMEOUT_S, "find_user_interests", dict(items_of), users=users
        )
        return found

    def warm(self, release: ServedRelease, users: UserBatch, k: int) -> dict[str, Candidates]:
        """See `Recall.warm`; in one worker, which has the same models as the others."""
        found: dict[str, Candidates] = self._call(release, WARM_UP_TIMEOUT_S, "warm", k, users=users)
        return found

    def _call(
        self, release: ServedRelease, timeout_s: float, method: str, *arguments: Any, users: UserBatch | None = None
    ) -> Any:
        return release.workers.call(self._metrics, timeout_s, method, *arguments, users=users)

    def _call_recall(
        self,
        release: ServedRelease,
        channels: Mapping[str, Any] | Sequence[str],
        method: str,
        *arguments: Any,
        users: UserBatch | None = None,
    ) -> RecallResult:
        try:
            result: RecallResult = self._call(release, self._timeout_s, method, *arguments, users=users)
        except WorkerFailed as error:
            logger.exception("a model worker failed; its channels are left out of this response")
            return self._leave_out(channels, error.is_timeout)
        return result


class WorkerRanking(Ranking):
    """Ranking in the workers of the release."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def score(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `Ranking.score`."""
        return self._call(release, CALL_TIMEOUT_S, users, items_C)

    def warm(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `Ranking.warm`."""
        return self._call(release, WARM_UP_TIMEOUT_S, users, items_C)

    def _call(
        self, release: ServedRelease, timeout_s: float, users: UserBatch, items_C: np.ndarray
    ) -> Mapping[str, np.ndarray]:
        probabilities: Mapping[str, np.ndarray] = release.workers.call(
            self._metrics, timeout_s, "score", items_C, users=users
        )
        return probabilities
