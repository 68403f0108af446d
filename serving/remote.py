"""Recall and ranking in processes of their own, as the request path sees them: the same calls, one hop each.

What fails on the way is what would have failed here: channels that do not answer are left out, a ranker that does not
leaves the fused order. Knows nothing about how a call is carried.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from serving import arrays
from serving.arrays import Json
from serving.metrics import Metrics
from serving.rank import Ranking
from serving.recall import FAILED, LATE, Recall, Recalled
from serving.served_release import ServedRelease
from serving.tastes import NAMING, Tastes
from training.features import UserBatch
from training.recall.channel import Candidates

READY_S = 120.0
"""How long a release may take to be loaded over there."""
AGAIN_S = 0.5

HOP_S = 1.0
"""How much longer than the deadline of the channels a request waits for the recall service: after that it is not there."""
RANKED_S = 5.0
"""How long a request waits for the ranking service; then it keeps the fused order."""

Call = Callable[[str, Json, float | None], Json]
"""`call(name, content, timeout_s)` gives what the other side answers; None: as long as a release may take.

Raises:
    HopFailed: nothing came, or no answer to the question.
"""

logger = logging.getLogger(__name__)


class HopFailed(RuntimeError):
    """The other side did not answer; `is_final` where asking again would not help, `is_late` where it may still do."""

    def __init__(self, message: str, is_final: bool = False, is_late: bool = False) -> None:
        super().__init__(message)
        self.is_final, self.is_late = is_final, is_late


class RemoteRecall(Recall):
    """Asks the recall service. The threads of the channels and their deadline are over there, where they are counted; here is
    counted who is left out because nothing comes from there.
    """

    def __init__(self, call: Call, metrics: Metrics, deadline_s: float) -> None:
        self._call, self._metrics, self._wait_s = call, metrics, deadline_s + HOP_S

    def of_users(self, release: ServedRelease, users: UserBatch, k: int, only: Sequence[str] | None = None) -> Recalled:
        """See `Recall.of_users`."""
        names = list(release.channels if only is None else only)
        return self._asked("of_users", names, _about(release, users) | {"k": k, "only": names})

    def near(self, release: ServedRelease, item: int, k: int) -> Recalled:
        """See `Recall.near`."""
        return self._asked("near", list(release.channels), {"release": release.release_id, "item": item, "k": k})

    def reasons(self, release: ServedRelease, name: str, users: UserBatch, items: list[int]) -> list[str]:
        """See `Recall.reasons`."""
        told = self._call("reasons", _about(release, users) | {"name": name, "items": items}, self._wait_s)
        return [str(one) for one in told["reasons"]]

    def tastes(self, release: ServedRelease, users: UserBatch, items_of: Mapping[str, np.ndarray]) -> Tastes | None:
        """See `Recall.tastes`."""
        if NAMING not in release.channels:
            return None
        content = _about(release, users) | {"items_of": arrays.of_arrays(items_of)}
        return arrays.to_tastes(self._call("tastes", content, self._wait_s))

    def warm(self, release: ServedRelease, users: UserBatch, k: int) -> dict[str, Candidates]:
        """See `Recall.warm`; waits until the release is loaded over there."""
        content = _about(release, users) | {"k": k}
        return arrays.to_candidates(_patiently(self._call, "warm", content)["candidates"])

    def _asked(self, name: str, channels: list[str], content: Json) -> Recalled:
        try:
            return arrays.to_recalled(self._call(name, content, self._wait_s))
        except Exception as error:
            logger.exception("the recall service does not answer; its channels are left out of this answer")
            why = LATE if isinstance(error, HopFailed) and error.is_late else FAILED
            for channel in channels:
                if why == LATE:
                    self._metrics.cut_off.labels(channel, why).inc()
                else:
                    self._metrics.skipped.labels(channel).inc()
            return Recalled({}, dict.fromkeys(channels, why))


class RemoteRanking(Ranking):
    """Asks the ranking service."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def score(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `Ranking.score`."""
        content = _about(release, users) | {"items": arrays.of_array(items_C)}
        return arrays.to_arrays(self._call("score", content, RANKED_S)["probabilities"])

    def warm(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `Ranking.warm`; waits until the release is loaded over there."""
        content = _about(release, users) | {"items": arrays.of_array(items_C)}
        return arrays.to_arrays(_patiently(self._call, "score", content)["probabilities"])


def _about(release: ServedRelease, users: UserBatch) -> Json:
    return {"release": release.release_id, "users": arrays.of_users(users)}


def _patiently(call: Call, name: str, content: dict[str, Any]) -> Json:
    """The answer of a service that may just be starting, or loading."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            return call(name, content, None)
        except HopFailed as error:
            if error.is_final or time.monotonic() > deadline:
                raise
            time.sleep(AGAIN_S)
