"""Calls that a model worker runs: the methods of `Recall` and `Ranking` on its release.

The features of a user are sent with the first call of a request; further calls name them by a key. A worker keeps those of
the last `KEPT_USERS` requests of a connection. Independent of sockets.
"""

from __future__ import annotations

import logging
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from serving.observability.metrics import Metrics
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import SequentialRecall
from serving.releases.served_release import ServedRelease
from training.data.user_batch import UserBatch

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
class MetricUpdate:
    """One update of a metric in another process: `metrics.<metric>.labels(*labels).<method>(value)`."""

    metric: str
    labels: tuple[str, ...]
    method: str
    value: float

    def apply(self, metrics: Metrics) -> None:
        """Repeat the update."""
        getattr(getattr(metrics, self.metric).labels(*self.labels), self.method)(self.value)


@dataclass(frozen=True)
class ModelCall:
    """One call. `key` names the request's user features; None for a call without them."""

    method: str
    arguments: tuple[Any, ...]
    key: int | None = None
    users: UserBatch | None = None  # None: sent before, with the same key


@dataclass(frozen=True)
class ModelAnswer:
    """The result of a call, or the exception that it raised, and the updates of metrics."""

    result: Any = None
    error: Exception | None = None
    updates: Sequence[MetricUpdate] = field(default_factory=tuple)


class MetricRecorder:
    """Stands in for `Metrics` and records updates of metrics with labels."""

    def __init__(self) -> None:
        self._updates: list[MetricUpdate] = []

    def __getattr__(self, metric: str) -> _RecordedMetric:
        return _RecordedMetric(self._updates, metric)

    def take(self) -> list[MetricUpdate]:
        """The updates since the last call."""
        taken = self._updates[:]
        del self._updates[: len(taken)]
        return taken


class _RecordedMetric:
    def __init__(self, updates: list[MetricUpdate], metric: str, labels: tuple[str, ...] = ()) -> None:
        self._updates, self._metric, self._labels = updates, metric, labels

    def labels(self, *labels: str) -> _RecordedMetric:
        return _RecordedMetric(self._updates, self._metric, labels)

    def inc(self, amount: float = 1) -> None:
        self._updates.append(MetricUpdate(self._metric, self._labels, "inc", amount))

    def observe(self, amount: float) -> None:
        self._updates.append(MetricUpdate(self._metric, self._labels, "observe", amount))


def _is_picklable(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # of this process
    except Exception:
        return False
    return True


class ModelCalls:
    """Runs calls on a release, one at a time.

    Args:
        release: Release with all models.
        deadline_s: How long one response waits for its channels.
    """

    def __init__(self, release: ServedRelease, deadline_s: float) -> None:
        self._release = release
        self._recorder = MetricRecorder()
        metrics: Any = self._recorder
        self._recall, self._ranking = SequentialRecall(metrics, deadline_s), Ranking()
        self._users: OrderedDict[int, UserBatch] = OrderedDict()

    def run(self, call: ModelCall) -> ModelAnswer:
        """The answer to a call; exceptions are part of it."""
        try:
            result, error = self._run(call), None
        except Exception as raised:
            logger.exception("the call %s failed", call.method)
            result, error = (
                None,
                raised if _is_picklable(raised) else RuntimeError(f"{type(raised).__name__}: {raised}"),
            )
        return ModelAnswer(result, error, self._recorder.take())

    def forget_users(self) -> None:
        """Drop the features of all requests."""
        self._users.clear()

    def _run(self, call: ModelCall) -> Any:
        if call.method not in RECALL_METHODS | RANKING_METHODS:
            raise ValueError(f"there is no call {call.method!r}")
        target: Any = self._ranking if call.method in RANKING_METHODS else self._recall
        arguments = (self._release, *call.arguments) if call.key is None else self._with_users(call)
        return getattr(target, call.method)(*arguments)

    def _with_users(self, call: ModelCall) -> tuple[Any, ...]:
        """The arguments of a call with users."""
        assert call.key is not None  # noqa: S101  # narrows the type
        if call.users is not None:
            self._users[call.key] = call.users
            while len(self._users) > KEPT_USERS:
                self._users.popitem(last=False)
        return self._release, self._users[call.key], *call.arguments
