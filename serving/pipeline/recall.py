"""Candidates from every channel, asked side by side under a deadline; one that is late or fails is left out and counted.

Knows nothing about what the channels are asked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from serving.observability.metrics import Metrics
from serving.pipeline.bulkhead import BulkheadExecutor
from serving.pipeline.user_interests import UserInterests, find_user_interests
from serving.releases.served_release import ServedRelease
from training.data.user_batch import UserBatch
from training.recall.channel import Candidates, CandidateSource
from training.recall.reason import Reason

POPULARITY = "popularity"
"""The channel that answers for users nobody knows and when all else fails."""

FAILED, LATE, BUSY = "failed", "late", "busy"
"""Why a channel is left out: it raised; it did not answer before the deadline; it was late for an earlier request and has
not ended yet.
"""

Source = TypeVar("Source", bound=CandidateSource)

logger = logging.getLogger(__name__)


class WarmUpFailed(RuntimeError):
    """A release cannot answer; the message says which part fails."""


@dataclass(frozen=True)
class RecallResult:
    """Channel ▸ its candidates, in the release's order, and channel ▸ why it is left out."""

    candidates: dict[str, Candidates]
    left_out: dict[str, str]


class Recall:
    """Asks the channels of a release; thread-safe.

    Args:
        deadline_s: how long one answer waits for all its channels.
        threads: of each channel, as many as requests are answered at once.
    """

    def __init__(self, metrics: Metrics, deadline_s: float, threads: int) -> None:
        self._metrics, self._deadline_s, self._threads = metrics, deadline_s, threads
        self._bulkheads: WeakKeyDictionary[CandidateSource, BulkheadExecutor] = (
            WeakKeyDictionary()
        )  # a release that goes takes its own along
        self._bulkheads_lock = threading.Lock()

    def recall_for_users(
        self, release: ServedRelease, users: UserBatch, k: int, only: Sequence[str] | None = None
    ) -> RecallResult:
        """The `k` best of every channel, or `only` of these sources, for the one request in `users`."""
        asked = release.channels if only is None else {name: release.source(name) for name in only}
        return self.run_channels(asked, lambda channel: channel.recall(users, k))

    def recall_similar(self, release: ServedRelease, item: int, k: int) -> RecallResult:
        """The `k` most like an item, of every channel."""
        return self.run_channels(release.channels, lambda channel: channel.similar_items(item, k))

    def reasons(self, release: ServedRelease, name: str, users: UserBatch, items: list[int]) -> list[Reason]:
        """Why one source finds these items for the one request in `users`, in order."""
        return list(release.source(name).reasons(users, items))

    def find_user_interests(
        self, release: ServedRelease, users: UserBatch, items_of: Mapping[str, np.ndarray]
    ) -> UserInterests | None:
        """See `serving.pipeline.user_interests`."""
        return find_user_interests(release, users, items_of)

    def warm(self, release: ServedRelease, users: UserBatch, k: int) -> dict[str, Candidates]:
        """What every channel finds for the one request in `users`, however long it takes, once all of it has been asked, and
        what recalls containers as well.

        Raises:
            WarmUpFailed: one raises.
        """
        found = {}
        for name, source in {**release.channels, **release.collection_channels}.items():
            try:
                found[name] = source.recall(users, k)
                first = int(found[name].items_BK[0, 0])
                if first:
                    source.reasons(users, [first])
                    if name in release.channels:
                        source.similar_items(first, k)
            except Exception as error:
                raise WarmUpFailed(f"release {release.release_id} fails in {name}: {error}") from error
        return {name: found[name] for name in release.channels}

    def run_channels(self, channels: Mapping[str, Source], question: Callable[[Source], Candidates]) -> RecallResult:
        """What each channel answers, for the one request that `question` asks."""
        lanes = {name: self._bulkhead(name, channel) for name, channel in channels.items()}
        asked = {name: lane.submit(self._timed(name, channels[name], question)) for name, lane in lanes.items()}
        wait([future for future in asked.values() if future is not None], timeout=self._deadline_s)
        candidates: dict[str, Candidates] = {}
        left_out: dict[str, str] = {}
        for name, future in asked.items():
            if future is None or not future.done():
                left_out[name] = BUSY if future is None else LATE
                self._metrics.cut_off.labels(name, left_out[name]).inc()
                if future is not None:
                    lanes[name].abandon(future)
            elif self._has_failed(name, future):
                left_out[name] = FAILED
            else:
                candidates[name] = future.result()
                self._metrics.candidates.labels(name).inc(int((candidates[name].items_BK > 0).sum()))
        return RecallResult(candidates, left_out)

    def _bulkhead(self, name: str, channel: CandidateSource) -> BulkheadExecutor:
        with self._bulkheads_lock:
            lane = self._bulkheads.get(channel)
            if lane is None:
                lane = self._bulkheads[channel] = BulkheadExecutor(name, self._threads)
            return lane

    def _timed(self, name: str, channel: Source, question: Callable[[Source], Candidates]) -> Callable[[], Candidates]:
        def work() -> Candidates:
            began = time.perf_counter()
            candidates = question(channel)
            self._metrics.channel_seconds.labels(name).observe(time.perf_counter() - began)
            return candidates

        return work

    def _has_failed(self, name: str, future: Future[Candidates]) -> bool:
        error = future.exception()
        if error is None:
            return False
        logger.error("channel %s failed and is left out of this answer", name, exc_info=error)
        self._metrics.skipped.labels(name).inc()
        return True
