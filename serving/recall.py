"""Candidates from every channel; one that fails is left out of this answer and counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from serving.metrics import Metrics
from training.features import UserBatch
from training.recall.channel import Candidates, RecallChannel

POPULARITY = "popularity"
"""The channel that answers for users nobody knows and when all else fails."""

logger = logging.getLogger(__name__)


def recall(
    channels: Mapping[str, RecallChannel], users: UserBatch, is_known: bool, k: int, metrics: Metrics
) -> dict[str, Candidates]:
    """Channel ▸ its `k` best candidates for the one request in `users`; popularity alone for an unknown user."""
    asked = channels if is_known or POPULARITY not in channels else {POPULARITY: channels[POPULARITY]}
    found: dict[str, Candidates] = {}
    for name, channel in asked.items():
        began = time.perf_counter()
        try:
            candidates = channel.recall(users, k)
        except Exception:
            logger.exception("channel %s failed and is left out of this answer", name)
            metrics.skipped.labels(name).inc()
            continue
        metrics.channel_seconds.labels(name).observe(time.perf_counter() - began)
        metrics.candidates.labels(name).inc(int((candidates.items_BK > 0).sum()))
        found[name] = candidates
    return found
