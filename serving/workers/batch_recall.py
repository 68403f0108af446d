"""Recall for several requests in one pass of each channel: the Python code of a channel runs once for all of them.

Shape letters: B requests, K candidates.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.pipeline.stages.recall import RecallResult, SequentialRecall, sources_to_call
from serving.releases.served_release import ServedRelease
from serving.workers.metric_updates import MetricRecorder, MetricUpdate
from training.data.user_batch import UserBatch
from training.recall.channel import Candidates, CandidateSource

logger = logging.getLogger(__name__)


def recall_together(
    release: ServedRelease, users: Sequence[UserBatch], k: int, only: Sequence[str] | None, deadline_s: float
) -> list[tuple[RecallResult, list[MetricUpdate]]]:
    """`SequentialRecall.recall_for_users` of each request, with its updates of metrics.

    A channel that fails for all requests together is called for each of them. The time of a channel is that of its batch,
    for which each request has waited. Results that a channel caches are cached for each request, for its reasons.

    Args:
        release: Release with channels.
        users: B requests of one user each.
        k: Candidates per channel, K.
        only: Sources to call; None: all channels.
        deadline_s: Time after which no further channel is called.

    Raises:
        ValueError: The requests have different views.
    """
    until, batch = time.perf_counter() + deadline_s, UserBatch.concatenate(users)
    requests = [_RequestOfBatch(one, until) for one in users]
    for name, source in sources_to_call(release, only).items():
        began = time.perf_counter()
        found = _recall_batch(name, source, batch, k) if began <= until else None
        seconds = time.perf_counter() - began
        for row, request in enumerate(requests):
            if found is None:
                request.call(name, source, k)
            else:
                request.add(name, found.take(np.array([row])), seconds)
    batch.share_cache(users)
    return [(request.result, request.recorder.take()) for request in requests]


def _recall_batch(name: str, source: CandidateSource, batch: UserBatch, k: int) -> Candidates | None:
    """Candidates [B, K] of the batch; None if the source fails."""
    try:
        found = source.recall(batch, k)
        if len(found.items_BK) != len(batch):
            raise ValueError(f"{name} has candidates for {len(found.items_BK)} of {len(batch)} requests")
    except Exception:
        logger.warning("channel %s failed for %d requests together", name, len(batch), exc_info=True)
        return None
    return found


class _RequestOfBatch(SequentialRecall):
    """The result of one request of a batch, and its updates of metrics."""

    def __init__(self, users: UserBatch, until: float) -> None:
        self.recorder = MetricRecorder()
        metrics: Any = self.recorder
        super().__init__(metrics, 0.0)
        self._users, self._until = users, until
        self.result = RecallResult({}, {})

    def add(self, name: str, found: Candidates, seconds: float) -> None:
        """Add what a channel found for all requests of the batch in this time."""
        self._metrics.channel_seconds.labels(name).observe(seconds)
        self.result.candidates[name] = self._count_candidates(name, found)

    def call(self, name: str, source: CandidateSource, k: int) -> None:
        """Call a channel for this request alone; it is left out after the deadline or if it fails."""
        one = self.run_channels_until(self._until, {name: source}, lambda source: source.recall(self._users, k))
        self.result.candidates.update(one.candidates)
        self.result.left_out.update(one.left_out)
