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
from serving.rank import Ranking
from serving.recall import FAILED, Recall, Recalled
from serving.served_release import ServedRelease
from serving.tastes import NAMING, Tastes
from training.features import UserBatch
from training.recall.channel import Candidates

READY_S = 120.0
"""How long a release may take to be loaded over there."""
AGAIN_S = 0.5

Call = Callable[[str, Json], Json]
"""`call(name, content)` gives what the other side answers.

Raises:
    HopFailed: nothing came, or no answer to the question.
"""

logger = logging.getLogger(__name__)


class HopFailed(RuntimeError):
    """The other side did not answer; `is_final` where asking again would not help."""

    def __init__(self, message: str, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class RemoteRecall(Recall):
    """Asks the recall service. The deadline and the threads of the channels are over there."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def of_users(self, release: ServedRelease, users: UserBatch, k: int, only: Sequence[str] | None = None) -> Recalled:
        """See `Recall.of_users`."""
        names = list(release.channels if only is None else only)
        return self._asked("of_users", names, _about(release, users) | {"k": k, "only": names})

    def near(self, release: ServedRelease, item: int, k: int) -> Recalled:
        """See `Recall.near`."""
        return self._asked("near", list(release.channels), {"release": release.release_id, "item": item, "k": k})

    def reasons(self, release: ServedRelease, name: str, users: UserBatch, items: list[int]) -> list[str]:
        """See `Recall.reasons`."""
        told = self._call("reasons", _about(release, users) | {"name": name, "items": items})
        return [str(one) for one in told["reasons"]]

    def tastes(self, release: ServedRelease, users: UserBatch, items_of: Mapping[str, np.ndarray]) -> Tastes | None:
        """See `Recall.tastes`."""
        if NAMING not in release.channels:
            return None
        return arrays.to_tastes(self._call("tastes", _about(release, users) | {"items_of": arrays.of_arrays(items_of)}))

    def warm(self, release: ServedRelease, users: UserBatch, k: int) -> dict[str, Candidates]:
        """See `Recall.warm`; waits until the release is loaded over there."""
        content = _about(release, users) | {"k": k}
        return arrays.to_candidates(_patiently(self._call, "warm", content)["candidates"])

    def _asked(self, name: str, channels: list[str], content: Json) -> Recalled:
        try:
            return arrays.to_recalled(self._call(name, content))
        except Exception:
            logger.exception("the recall service does not answer; its channels are left out of this answer")
            return Recalled({}, dict.fromkeys(channels, FAILED))


class RemoteRanking(Ranking):
    """Asks the ranking service."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def score(self, release: ServedRelease, users: UserBatch, items_C: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `Ranking.score`."""
        content = _about(release, users) | {"items": arrays.of_array(items_C)}
        return arrays.to_arrays(self._call("score", content)["probabilities"])

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
            return call(name, content)
        except HopFailed as error:
            if error.is_final or time.monotonic() > deadline:
                raise
            time.sleep(AGAIN_S)
