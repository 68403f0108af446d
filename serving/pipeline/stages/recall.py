"""Recall stage: candidates of all sources, one after the other, until a deadline.

A source that fails is left out and counted, and so are those that a deadline leaves no time for. Independent of how sources work.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.array_types import Ints
from recommender.recall.channel import CandidateSource
from recommender.recall.multi_interest.channel import Interest, MultiInterest
from recommender.recall.reason import Reason
from recommender.user.user_batch import UserBatch
from serving.observability.metrics import Metrics
from serving.releases.served_release import ServedRelease

POPULARITY = "popularity"
"""Channel for unknown users, which also fills lists."""
FALLBACK_CANDIDATES = 1000
"""Candidates of POPULARITY: those after the number of the scene fill lists only."""
INTEREST_CHANNEL = MultiInterest.name
"""Channel that names interests."""

WARM_UP_TITLE = "Calm night"

FAILED, LATE = "failed", "late"
"""Why a source is left out: it raised; the sources before it took all of the time."""

logger = logging.getLogger(__name__)


class WarmUpFailed(RuntimeError):
    """A part of a release fails; the message names it."""


@dataclass(frozen=True)
class RecallResult:
    """Source → candidates [1, K], in the release's order, and source → why it was left out."""

    candidates: dict[str, Ints]
    left_out: dict[str, str]


class Recall:
    """Calls the sources of a release; thread-safe.

    Args:
        metrics: Metrics of the service.
        deadline_s: Time after which no further source is called.
    """

    def __init__(self, metrics: Metrics, deadline_s: float) -> None:
        self._metrics, self._deadline_s = metrics, deadline_s

    def recall_for_users(
        self, release: ServedRelease, users: UserBatch, k: int, only: Sequence[str] | None = None
    ) -> RecallResult:
        """The best `k` of every channel (or `only` these sources) for the one request in `users`; more of POPULARITY."""

        def recall(source: CandidateSource) -> Ints:
            return source.recall(users, FALLBACK_CANDIDATES if source.name == POPULARITY else k)

        sources = release.channels if only is None else {name: release.source(name) for name in only}
        return self.run_channels(sources, recall)

    def recall_continuation(self, release: ServedRelease, items: np.ndarray, title: str, k: int) -> RecallResult:
        """The best `k` of every source for a playlist with these seeds and this title, of which one may be empty."""
        return self.run_channels(release.continuation_sources, lambda source: source.continue_playlist(items, title, k))

    def recall_between(
        self, release: ServedRelease, name: str, first: int, last: int, points: int, k: int
    ) -> Ints | None:
        """The items that a channel with item vectors has between two items (see `NeuralChannel.items_between`); None if
        it fails or exceeds the deadline.
        """
        channels = {name: release.channels[name]}
        recalled = self.run_channels(channels, lambda channel: channel.items_between(first, last, points, k))
        return recalled.candidates.get(name)

    def reasons(
        self, release: ServedRelease, users: UserBatch, items_of: Mapping[str, list[int]]
    ) -> dict[str, list[Reason]]:
        """Source → why it found these items for the one request in `users`, in order; a failing source is left out."""
        found = {}
        for name, items in items_of.items():
            try:
                reasons = list(release.source(name).reasons(users, items))
                if len(reasons) != len(items):
                    raise ValueError(f"{name} gives {len(reasons)} reasons for {len(items)} items")
                found[name] = reasons
            except Exception:
                logger.exception("%s failed to give reasons", name)
        return found

    def find_user_interests(
        self, release: ServedRelease, users: UserBatch, items_of: Mapping[str, np.ndarray]
    ) -> tuple[list[Interest], dict[str, str]]:
        """Interests of the one request in `users`, the largest first, and a name for each item set; neither without the interest
        channel, or if it fails.

        Args:
            release: Release that has the channel.
            users: The request, B = 1.
            items_of: Key → non-empty set of items to name.
        """
        channel = release.channels.get(INTEREST_CHANNEL)
        if channel is None:
            return [], {}
        try:
            names = {key: channel.interest_names.name(items) for key, items in items_of.items()}
            return channel.interests(users), names
        except Exception:
            logger.exception("the interests of this response are missing")
            return [], {}

    def warm(self, release: ServedRelease, users: UserBatch, k: int) -> dict[str, Ints]:
        """Call every method of every channel and collection source once, without a deadline.

        Returns:
            Channel → its candidates for the one request in `users`.

        Raises:
            WarmUpFailed: A channel raises.
        """
        found = {}
        for name, source in {**release.channels, **release.collection_channels}.items():
            try:
                found[name] = source.recall(users, k)
                first = int(found[name][0, 0])
                if first:
                    source.reasons(users, [first])
            except Exception as error:
                raise WarmUpFailed(f"release {release.release_id} fails in {name}: {error}") from error
        first = next((int(one[0, 0]) for one in found.values() if one[0, 0]), 0)
        seeds = np.array([first] if first else [], dtype=np.int64)
        for name, source in release.continuation_sources.items():
            try:
                source.continue_playlist(seeds, WARM_UP_TITLE, k)
            except Exception as error:
                raise WarmUpFailed(f"release {release.release_id} fails in {name}: {error}") from error
        return {name: found[name] for name in release.channels}

    def run_channels(self, channels: Mapping[str, Any], query: Callable[[Any], Ints]) -> RecallResult:
        """Run `query` on one source after the other until the deadline."""
        until = time.perf_counter() + self._deadline_s
        candidates: dict[str, Ints] = {}
        left_out: dict[str, str] = {}
        for name, channel in channels.items():
            began = time.perf_counter()
            if began > until:
                left_out[name] = LATE
                self._metrics.skipped.labels(name, LATE).inc()
                continue
            try:
                found = query(channel)
            except Exception:
                logger.exception("channel %s failed and is left out of this response", name)
                self._metrics.skipped.labels(name, "failed").inc()
                left_out[name] = FAILED
                continue
            self._metrics.child(self._metrics.channel_seconds, name).observe(time.perf_counter() - began)
            self._metrics.child(self._metrics.candidates, name).inc(np.count_nonzero(found))
            candidates[name] = found
        return RecallResult(candidates, left_out)
