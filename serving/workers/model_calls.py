"""Calls that a model worker runs: the methods of `Recall` and `Ranking` on its release.

The features of a user are sent with the first call of a request; further calls name them by a key. A worker keeps those of
the last `KEPT_USERS` requests of a connection. Calls of one `batch_group` can run as one batch. Independent of sockets.

Scores of the candidates of several requests in one pass of the ranker. Shape letters: B requests, C candidates.

Recall for several requests in one pass of each channel: the Python code of a channel runs once for all of them.

Shape letters: B requests, K candidates.
"""

from __future__ import annotations

import logging
import pickle
import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import Recall, RecallResult, candidates_of, sources_to_call
from serving.releases.served_release import ServedRelease
from serving.workers.metric_updates import MetricRecorder, MetricUpdate
from training.data.user_batch import UserBatch
from training.recall.channel import Candidates, CandidateSource

KEPT_USERS = 16
"""Requests whose features a worker keeps, the newest ones; the sender counts in the same way."""
RECALL_METHODS = frozenset(
    {
        "recall_for_users",
        "recall_continuation",
        "recall_between",
        "reasons",
        "find_user_interests",
        "warm",
    }
)
RANKING_METHODS = frozenset({"score"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelCall:
    """One call. `key` names the request's user features; None for a call without them."""

    method: str
    arguments: tuple[Any, ...]
    key: int | None = None
    users: UserBatch | None = None  # None: sent before, with the same key

    @property
    def batch_group(self) -> Hashable | None:
        """Equal for calls that can run as one batch; None for a call that runs alone."""
        if self.key is None:
            return None
        if self.method == "recall_for_users":
            k, only = self.arguments
            return self.method, k, None if only is None else tuple(only)
        return self.method if self.method == "score" else None


@dataclass(frozen=True)
class ModelAnswer:
    """The result of a call, or the exception that it raised, and the updates of metrics."""

    result: Any = None
    error: Exception | None = None
    updates: Sequence[MetricUpdate] = field(default_factory=tuple)


def _is_picklable(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # of this process
    except Exception:
        return False
    return True


class ModelCalls:
    """Runs calls on a release, one batch at a time.

    Args:
        release: Release with all models.
        deadline_s: How long one response waits for its channels.
    """

    def __init__(self, release: ServedRelease, deadline_s: float) -> None:
        self._release, self._deadline_s = release, deadline_s
        self._recorder = MetricRecorder()
        metrics: Any = self._recorder
        self._recall, self._ranking = Recall(metrics, deadline_s), Ranking()
        self._users: OrderedDict[int, UserBatch] = OrderedDict()

    def run_together(self, calls: Sequence[ModelCall]) -> list[ModelAnswer]:
        """The answers to calls of one `batch_group`, in order; exceptions are part of them.

        If they fail as a batch, they run one after the other.
        """
        # In the order in which the sender counts them; a later call may drop the features of an earlier one.
        users = [self._keep_users(call) for call in calls]
        known = [one for one in users if one is not None]
        if len(calls) > 1 and len(known) == len(calls):
            try:
                return self._run_batch(calls, known)
            except Exception:
                logger.warning("%d calls %s failed as a batch", len(calls), calls[0].method, exc_info=True)
        return [self._run_alone(call, one) for call, one in zip(calls, users, strict=True)]

    def forget_users(self) -> None:
        """Drop the features of all requests."""
        self._users.clear()

    def _run_batch(self, calls: Sequence[ModelCall], users: Sequence[UserBatch]) -> list[ModelAnswer]:
        if calls[0].method == "score":
            scores = score_together(self._release, users, [call.arguments[0] for call in calls])
            return [ModelAnswer(one) for one in scores]
        k, only = calls[0].arguments
        found = recall_together(self._release, users, k, only, self._deadline_s)
        return [ModelAnswer(result, updates=updates) for result, updates in found]

    def _run_alone(self, call: ModelCall, users: UserBatch | None) -> ModelAnswer:
        try:
            result, error = self._call_method(call, users), None
        except Exception as raised:
            logger.exception("the call %s failed", call.method)
            result, error = (
                None,
                raised if _is_picklable(raised) else RuntimeError(f"{type(raised).__name__}: {raised}"),
            )
        return ModelAnswer(result, error, self._recorder.take())

    def _call_method(self, call: ModelCall, users: UserBatch | None) -> Any:
        if call.method not in RECALL_METHODS | RANKING_METHODS:
            raise ValueError(f"there is no call {call.method!r}")
        target: Any = self._ranking if call.method in RANKING_METHODS else self._recall
        if call.key is None:
            return getattr(target, call.method)(self._release, *call.arguments)
        if users is None:
            raise KeyError(f"the features of request {call.key} were not sent")
        return getattr(target, call.method)(self._release, users, *call.arguments)

    def _keep_users(self, call: ModelCall) -> UserBatch | None:
        """The features of the call's request; None for a call without them, or if they were not sent."""
        if call.key is None:
            return None
        if call.users is not None:
            self._users[call.key] = call.users
            while len(self._users) > KEPT_USERS:
                self._users.popitem(last=False)
        return self._users.get(call.key)


def score_together(
    release: ServedRelease, users: Sequence[UserBatch], items: Sequence[np.ndarray]
) -> list[dict[str, np.ndarray]]:
    """`Ranking.score` of each request, equal up to rounding.

    Args:
        release: Release with a ranker.
        users: B requests of one user each.
        items: Items [C] of each request; C may differ.

    Returns:
        Per request, task → probabilities [1, C].
    """
    items_BC = np.zeros((len(users), max(len(items_C) for items_C in items)), dtype=np.int64)  # 0: no candidate
    for row, items_C in enumerate(items):
        items_BC[row, : len(items_C)] = items_C
    scores = release.ranker.score(UserBatch.concatenate(users), items_BC)
    return [
        {task: score_BC[row : row + 1, : len(items_C)] for task, score_BC in scores.items()}
        for row, items_C in enumerate(items)
    ]


def recall_together(
    release: ServedRelease, users: Sequence[UserBatch], k: int, only: Sequence[str] | None, deadline_s: float
) -> list[tuple[RecallResult, list[MetricUpdate]]]:
    """`Recall.recall_for_users` of each request, with its updates of metrics.

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
        found = candidates_of(source, batch, k)
        if len(found.items_BK) != len(batch):
            raise ValueError(f"{name} has candidates for {len(found.items_BK)} of {len(batch)} requests")
    except Exception:
        logger.warning("channel %s failed for %d requests together", name, len(batch), exc_info=True)
        return None
    return found


class _RequestOfBatch(Recall):
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
        one = self.run_channels_until(self._until, {name: source}, lambda source: candidates_of(source, self._users, k))
        self.result.candidates.update(one.candidates)
        self.result.left_out.update(one.left_out)
