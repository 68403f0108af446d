"""Recall stage: candidates of all channels under a deadline.

Channels run in parallel, or one after the other in a model worker. One that fails or exceeds the deadline is left out and
counted. Independent of how channels work.

Bulkhead: a dedicated thread pool per recall channel, so a slow channel cannot exhaust the threads of the others.

Independent of candidates.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from serving.observability.metrics import Metrics
from serving.releases.served_release import ServedRelease
from training.data.user_batch import UserBatch
from training.recall.channel import Candidates, CandidateSource
from training.recall.continuation.source import ContinuationSource
from training.recall.multi_interest.channel import Interest, MultiInterest
from training.recall.neural_channel import ItemsBetween
from training.recall.reason import Reason

POPULARITY = "popularity"
"""Channel for unknown users, and the fallback when no other candidates are left."""
INTEREST_CHANNEL = MultiInterest.name
"""Channel that names interests."""

WARM_UP_TITLE = "Calm night"

FAILED, LATE, BUSY = "failed", "late", "busy"
"""Why a channel is left out: it raised; it missed the deadline; an earlier call that missed its deadline is still running."""

AnySource = CandidateSource | ContinuationSource
Source = TypeVar("Source", bound=AnySource)

logger = logging.getLogger(__name__)


JobQueue = queue.SimpleQueue["tuple[Future[Any], Callable[[], Any]] | None"]


class WarmUpFailed(RuntimeError):
    """A part of a release fails; the message names it."""


@dataclass(frozen=True)
class RecallResult:
    """Channel → candidates, in the release's order, and channel → why it was left out."""

    candidates: dict[str, Candidates]
    left_out: dict[str, str]


@dataclass(frozen=True)
class UserInterests:
    """A user's interests, the largest first, and the names of the requested item sets."""

    interests: list[Interest]
    names: dict[str, str]


def sources_to_call(release: ServedRelease, only: Sequence[str] | None) -> Mapping[str, CandidateSource]:
    """All channels of a release by name, or `only` these sources.

    Raises:
        KeyError: The release has no such source.
    """
    return release.channels if only is None else {name: release.source(name) for name in only}


class Recall:
    """Calls the channels of a release; thread-safe.

    Args:
        metrics: Metrics of the service.
        deadline_s: How long one response waits for its channels.
        threads: Threads per channel: the number of requests computed at the same time.
    """

    def __init__(self, metrics: Metrics, deadline_s: float, threads: int) -> None:
        self._metrics, self._deadline_s, self._threads = metrics, deadline_s, threads
        # Weak keys: the threads of a channel end when its release leaves service.
        self._bulkheads: WeakKeyDictionary[AnySource, BulkheadExecutor] = WeakKeyDictionary()
        self._bulkheads_lock = threading.Lock()

    def recall_for_users(
        self, release: ServedRelease, users: UserBatch, k: int, only: Sequence[str] | None = None
    ) -> RecallResult:
        """The best `k` of every channel (or of `only` these sources) for the one request in `users`."""
        return self.run_channels(sources_to_call(release, only), lambda source: source.recall(users, k))

    def recall_continuation(self, release: ServedRelease, items: np.ndarray, title: str, k: int) -> RecallResult:
        """The best `k` of every source for a playlist with these seeds and this title, of which one may be empty."""
        return self.run_channels(release.continuation_sources, lambda source: source.continue_playlist(items, title, k))

    def recall_between(
        self, release: ServedRelease, name: str, first: int, last: int, points: int, k: int
    ) -> ItemsBetween | None:
        """The items that a channel with item vectors has between two items (see `NeuralChannel.items_between`); None if
        it fails or exceeds the deadline.
        """
        channels = {name: release.channels[name]}
        recalled = self.run_channels(channels, lambda channel: channel.items_between(first, last, points, k))
        found = recalled.candidates.get(name)
        return found if isinstance(found, ItemsBetween) else None

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
    ) -> UserInterests | None:
        """Interests of the one request in `users`, and a name for each item set; None without the interest channel.

        Args:
            release: Release that has the channel.
            users: The request, B = 1.
            items_of: Key → non-empty set of items to name.
        """
        channel = release.channels.get(INTEREST_CHANNEL)
        if channel is None:
            return None
        names = {key: channel.interest_names.name(items) for key, items in items_of.items()}
        return UserInterests(channel.interests(users), names)

    def warm(self, release: ServedRelease, users: UserBatch, k: int) -> dict[str, Candidates]:
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
                first = int(found[name].items_BK[0, 0])
                if first:
                    source.reasons(users, [first])
            except Exception as error:
                raise WarmUpFailed(f"release {release.release_id} fails in {name}: {error}") from error
        first = next((int(one.items_BK[0, 0]) for one in found.values() if one.items_BK[0, 0]), 0)
        seeds = np.array([first] if first else [], dtype=np.int64)
        for name, source in release.continuation_sources.items():
            try:
                source.continue_playlist(seeds, WARM_UP_TITLE, k)
            except Exception as error:
                raise WarmUpFailed(f"release {release.release_id} fails in {name}: {error}") from error
        return {name: found[name] for name in release.channels}

    def run_channels(self, channels: Mapping[str, Source], query: Callable[[Source], Candidates]) -> RecallResult:
        """Run `query` on each channel in parallel and collect what arrives before the deadline."""
        bulkheads = {name: self._bulkhead(name, channel) for name, channel in channels.items()}
        futures = {
            name: bulkhead.submit(self._timed(name, channels[name], query)) for name, bulkhead in bulkheads.items()
        }
        wait([future for future in futures.values() if future is not None], timeout=self._deadline_s)
        candidates: dict[str, Candidates] = {}
        left_out: dict[str, str] = {}
        for name, future in futures.items():
            if future is None or not future.done():
                left_out[name] = BUSY if future is None else LATE
                self._metrics.cut_off.labels(name, left_out[name]).inc()
                if future is not None:
                    bulkheads[name].abandon(future)
            elif (error := future.exception()) is not None:
                left_out[name] = self._count_failure(name, error)
            else:
                candidates[name] = self._count_candidates(name, future.result())
        return RecallResult(candidates, left_out)

    def _leave_out(self, channels: Collection[str], is_late: bool) -> RecallResult:
        """The result if the process that calls the channels has failed, or has not responded in time; counts the channels."""
        for channel in channels:
            if is_late:
                self._metrics.cut_off.labels(channel, LATE).inc()
            else:
                self._metrics.skipped.labels(channel).inc()
        return RecallResult({}, dict.fromkeys(channels, LATE if is_late else FAILED))

    def _bulkhead(self, name: str, channel: AnySource) -> BulkheadExecutor:
        with self._bulkheads_lock:
            bulkhead = self._bulkheads.get(channel)
            if bulkhead is None:
                bulkhead = self._bulkheads[channel] = BulkheadExecutor(name, self._threads)
            return bulkhead

    def _timed(self, name: str, channel: Source, query: Callable[[Source], Candidates]) -> Callable[[], Candidates]:
        def work() -> Candidates:
            began = time.perf_counter()
            candidates = query(channel)
            self._metrics.channel_seconds.labels(name).observe(time.perf_counter() - began)
            return candidates

        return work

    def _count_failure(self, name: str, error: BaseException) -> str:
        """Log and count that a channel has failed; returns why it is left out."""
        logger.error("channel %s failed and is left out of this response", name, exc_info=error)
        self._metrics.skipped.labels(name).inc()
        return FAILED

    def _count_candidates(self, name: str, candidates: Candidates) -> Candidates:
        self._metrics.candidates.labels(name).inc(int((candidates.items_BK > 0).sum()))
        return candidates


class SequentialRecall(Recall):
    """Calls the channels one after the other in the calling thread, for a process that answers one request at a time.

    Threads would pass the interpreter lock to each other at every operator, which takes processor time. A running channel
    cannot be left out, only those after it: the caller bounds the time of the whole call.

    Args:
        metrics: Metrics of the service.
        deadline_s: Time after which no further channel is called.
    """

    def __init__(self, metrics: Metrics, deadline_s: float) -> None:
        self._metrics, self._deadline_s = metrics, deadline_s

    def run_channels(self, channels: Mapping[str, Source], query: Callable[[Source], Candidates]) -> RecallResult:
        """Run `query` on one channel after the other until the deadline."""
        return self.run_channels_until(time.perf_counter() + self._deadline_s, channels, query)

    def run_channels_until(
        self, until: float, channels: Mapping[str, Source], query: Callable[[Source], Candidates]
    ) -> RecallResult:
        """Run `query` on one channel after the other until a value of `time.perf_counter`."""
        candidates: dict[str, Candidates] = {}
        left_out: dict[str, str] = {}
        for name, channel in channels.items():
            if time.perf_counter() > until:
                left_out[name] = LATE
                self._metrics.cut_off.labels(name, LATE).inc()
                continue
            try:
                found = self._timed(name, channel, query)()
            except Exception as error:
                left_out[name] = self._count_failure(name, error)
            else:
                candidates[name] = self._count_candidates(name, found)
        return RecallResult(candidates, left_out)


class BulkheadExecutor:
    """Fixed pool of daemon threads that rejects work while timed-out calls are still running.

    A hanging channel therefore occupies at most its own threads, and no calls queue up behind it. The threads stop when
    the executor is garbage-collected.

    Args:
        name: Channel name, used in thread names.
        threads: Number of worker threads.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._queue: JobQueue = queue.SimpleQueue()
        self._abandoned_count = 0
        self._lock = threading.Lock()
        for number in range(threads):
            target = threading.Thread(
                target=_run_worker, args=(self._queue,), name=f"recall-{name}-{number}", daemon=True
            )
            target.start()
        weakref.finalize(self, _stop_workers, self._queue, threads)

    def submit(self, function: Callable[[], Any]) -> Future[Any] | None:
        """Schedule `function`; return None if an abandoned call is still running (circuit open)."""
        if self._abandoned_count:
            return None
        future: Future[Any] = Future()
        self._queue.put((future, function))
        return future

    def abandon(self, future: Future[Any]) -> None:
        """Give up on a call: cancel it if it has not started, otherwise discard its result."""
        if future.cancel():
            return
        with self._lock:
            self._abandoned_count += 1
        future.add_done_callback(self._on_abandoned_done)

    def _on_abandoned_done(self, _: Future[Any]) -> None:
        with self._lock:
            self._abandoned_count -= 1


def _run_worker(jobs: JobQueue) -> None:
    while (job := jobs.get()) is not None:
        future, function = job
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)
        # Without this, the last job and the release it refers to would stay in memory until the next one.
        del job, future, function


def _stop_workers(jobs: JobQueue, threads: int) -> None:
    for _ in range(threads):
        jobs.put(None)
