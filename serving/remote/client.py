"""Clients of the recall and ranking services: the same interface as `Recall` and `Ranking`, one remote call each.

A failing call degrades the response as a local failure would: channels are left out, and without the ranker the fused order
is kept. Independent of the transport.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from serving.observability.metrics import Metrics
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import INTEREST_CHANNEL, Recall, RecallResult, UserInterests
from serving.releases.served_release import ServedRelease
from serving.remote import array_json
from serving.remote.array_json import Json
from training.data.user_batch import UserBatch
from training.recall.channel import Candidates
from training.recall.neural_channel import ItemsBetween
from training.recall.reason import Reason

WARM_UP_TIMEOUT_S = 120.0
"""How long the remote service may take to load a release."""
RETRY_INTERVAL_S = 0.5

RECALL_GRACE_S = 1.0
"""How much longer than the channels' deadline a request waits for the recall service."""
RANKING_TIMEOUT_S = 5.0
"""How long a request waits for the ranking service before it keeps the fused order."""

RemoteCall = Callable[[str, Json, float | None], Json]
"""`call(name, content, timeout_s)` returns the response of the remote service; None: the longest timeout.

Raises:
    RemoteCallError: No response, or an error.
"""

logger = logging.getLogger(__name__)


class RemoteCallError(RuntimeError):
    """A remote call failed: `is_permanent` if retrying would not help, `is_timeout` if no response arrived in time."""

    def __init__(self, message: str, is_permanent: bool = False, is_timeout: bool = False) -> None:
        super().__init__(message)
        self.is_permanent, self.is_timeout = is_permanent, is_timeout


class RemoteRecall(Recall):
    """Client of the recall service.

    Threads, deadline and metrics of the channels are in that service. This client counts the channels that are left out
    because the service does not respond.
    """

    def __init__(self, call: RemoteCall, metrics: Metrics, deadline_s: float) -> None:
        self._call, self._metrics, self._timeout_s = call, metrics, deadline_s + RECALL_GRACE_S

    def recall_for_users(
        self, release: ServedRelease, users: UserBatch, k: int, only: Sequence[str] | None = None
    ) -> RecallResult:
        """See `Recall.recall_for_users`."""
        names = list(release.channels if only is None else only)
        return self._call_recall("recall_for_users", names, _request_payload(release, users) | {"k": k, "only": names})

    def recall_continuation(self, release: ServedRelease, items: np.ndarray, title: str, k: int) -> RecallResult:
        """See `Recall.recall_continuation`."""
        content = {"release": release.release_id, "items": array_json.encode_array(items), "title": title, "k": k}
        return self._call_recall("recall_continuation", list(release.continuation_sources), content)

    def recall_between(
        self, release: ServedRelease, name: str, first: int, last: int, points: int, k: int
    ) -> ItemsBetween | None:
        """See `Recall.recall_between`."""
        content = {
            "release": release.release_id,
            "name": name,
            "first": first,
            "last": last,
            "points": points,
            "k": k,
        }
        try:
            return array_json.decode_items_between(self._call("recall_between", content, self._timeout_s))
        except Exception:
            logger.exception("the recall service failed; it found no items between two tracks")
            self._metrics.skipped.labels(name).inc()
            return None

    def reasons(
        self, release: ServedRelease, users: UserBatch, items_of: Mapping[str, list[int]]
    ) -> dict[str, list[Reason]]:
        """See `Recall.reasons`."""
        content = _request_payload(release, users) | {"items_of": dict(items_of)}
        try:
            found = self._call("reasons", content, self._timeout_s)["reasons"]
            return {name: [Reason.from_json(one) for one in reasons] for name, reasons in found.items()}
        except Exception:
            logger.exception("the recall service failed; it gives no reasons")
            return {}

    def find_user_interests(
        self, release: ServedRelease, users: UserBatch, items_of: Mapping[str, np.ndarray]
    ) -> UserInterests | None:
        """See `Recall.find_user_interests`."""
        if INTEREST_CHANNEL not in release.channels:
            return None
        content = _request_payload(release, users) | {"items_of": array_json.encode_arrays(items_of)}
        return array_json.decode_user_interests(self._call("find_user_interests", content, self._timeout_s))

    def warm(self, release: ServedRelease, users: UserBatch, k: int) -> dict[str, Candidates]:
        """See `Recall.warm`; waits until the service has loaded the release."""
        content = _request_payload(release, users) | {"k": k}
        return array_json.decode_candidates(_retry_until_ready(self._call, "warm", content)["candidates"])

    def _call_recall(self, name: str, channels: list[str], content: Json) -> RecallResult:
        try:
            return array_json.decode_recall_result(self._call(name, content, self._timeout_s))
        except Exception as error:
            logger.exception("the recall service failed; its channels are left out of this response")
            return self._leave_out(channels, isinstance(error, RemoteCallError) and error.is_timeout)


class RemoteRanking(Ranking):
    """Client of the ranking service."""

    def __init__(self, call: RemoteCall) -> None:
        self._call = call

    def score(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `Ranking.score`."""
        content = _request_payload(release, users) | {"items": array_json.encode_array(items_C)}
        return array_json.decode_arrays(self._call("score", content, RANKING_TIMEOUT_S)["probabilities"])

    def warm(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `Ranking.warm`; waits until the service has loaded the release."""
        content = _request_payload(release, users) | {"items": array_json.encode_array(items_C)}
        return array_json.decode_arrays(_retry_until_ready(self._call, "score", content)["probabilities"])


def _request_payload(release: ServedRelease, users: UserBatch) -> Json:
    return {"release": release.release_id, "users": array_json.encode_users(users)}


def _retry_until_ready(call: RemoteCall, name: str, content: dict[str, Any]) -> Json:
    """The response of a service that may still be starting or loading."""
    deadline = time.monotonic() + WARM_UP_TIMEOUT_S
    while True:
        try:
            return call(name, content, None)
        except RemoteCallError as error:
            if error.is_permanent or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_INTERVAL_S)
