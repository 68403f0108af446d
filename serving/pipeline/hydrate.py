"""What is known of the user at the moment of the request, from the online store, as the arrays that models take.

Knows nothing about candidates.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np

from sequences.views import SEQUENCE_VIEWS
from serving.events.feature_log import FeatureLog
from serving.observability.metrics import Metrics
from serving.pipeline.request import Request
from serving.pipeline.user_state_cache import UserStateCache
from serving.releases.served_release import ServedRelease
from training.data.feature_services import ServiceContract
from training.data.user_batch import UserBatch, user_batch_from_online
from training.slate.filters import EXCLUSIONS_VIEW, Exclusions

MAX_CACHED_EXCLUSIONS = 100_000
STATE_FROM_STORE, STATE_FROM_CACHE, STATE_UNAVAILABLE = "store", "memory", "nothing"

FeatureRows = Mapping[str, Mapping[str, Sequence[Any]]]
"""view ▸ attribute ▸ values, oldest first; an ordinary view has one value an attribute, or none."""

logger = logging.getLogger(__name__)


class OnlineFeatureReader(Protocol):
    """The online store as the request path needs it."""

    def read(self, user_id: str) -> FeatureRows:
        """Every view of the user, empty for one nobody knows."""


@dataclass(frozen=True)
class UserState:
    """One request's user: B = 1 in `users`. `is_known` is False where the store has no event of the user. `state_from`: STORE,
    or where it did not answer MEMORY, or NOTHING.
    """

    users: UserBatch
    exclusions: Exclusions
    is_known: bool
    state_from: str = STATE_FROM_STORE


class Hydrator:
    """Reads and encodes. With the store away a user is as they were last read, if that is not too long ago, else unknown; what
    they excluded is remembered longer.

    What a request of the sample read goes to the feature log.
    """

    def __init__(self, online: OnlineFeatureReader, metrics: Metrics, log: FeatureLog | None = None) -> None:
        self._online, self._metrics, self._log = online, metrics, log
        self._state_cache = UserStateCache()
        self._excluded: OrderedDict[str, Exclusions] = OrderedDict()
        self._lock = Lock()

    def load_user_state(self, request: Request, release: ServedRelease) -> UserState:
        """Everything known of the request's user before the request, as the release numbers it."""
        log = self._log if self._log is not None and request.user_id and self._log.is_sampled(request) else None
        applied = (
            log.read_applied_position() if log is not None else None
        )  # noted first: everything up to here must be in what is read
        known = self._read(request.user_id)
        sequences, profile = _sequences(release.contract, known or {}), _profile(release.contract, known or {})
        if log is not None:
            log.write(request, release.release_id, applied, None if known is None else sequences, profile)
        users = user_batch_from_online(
            release.vocabulary,
            release.contract,
            [request.user_id],
            np.array([request.at_us], dtype=np.int64),
            sequences=[sequences],
            profiles=[profile],
            scenes=[request.scene.name],
        )
        exclusions = self._merge_exclusions(request.user_id, Exclusions.of(known or {}))
        if known is None:
            last = self._state_cache.get(release.release_id, request.user_id, request.at_us, request.scene.name)
            if last is None:
                return UserState(users, exclusions, False, STATE_UNAVAILABLE)
            return UserState(last, exclusions, True, STATE_FROM_CACHE)
        is_known = any(len(rows.get("event_id", ())) for rows in known.values())
        if is_known:
            self._state_cache.put(release.release_id, users)
        return UserState(users, exclusions, is_known)

    def _read(self, user_id: str) -> FeatureRows | None:
        if not user_id:
            return {}
        try:
            return self._online.read(user_id)
        except Exception:
            logger.exception("the online store does not answer; the user is as they were last read, or unknown")
            self._metrics.skipped.labels("online_store").inc()
            return None

    def record_exclusions(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take note of what reported events block or dislike: it holds at once, whenever the online store learns of it."""
        of_user: dict[str, list[tuple[str, str]]] = {}
        for event in events:
            if event["action"] in SEQUENCE_VIEWS[EXCLUSIONS_VIEW].behaviours:
                of_user.setdefault(event["user_id"], []).append((event["target_type"], event["target_id"]))
        for user_id, pairs in of_user.items():
            self._merge_exclusions(user_id, Exclusions.of_targets(pairs))

    def erase_users(self, users: Container[str]) -> None:
        """Drop what is remembered of these users."""
        self._state_cache.erase_users(users)
        with self._lock:
            for user_id in [one for one in self._excluded if one in users]:
                del self._excluded[user_id]

    def _merge_exclusions(self, user_id: str, more: Exclusions) -> Exclusions:
        """Everything that the user is known to have excluded, `more` among it: nothing of it ever comes back."""
        with self._lock:
            excluded = self._excluded.get(user_id, Exclusions()) | more
            if excluded:
                self._excluded[user_id] = excluded
                self._excluded.move_to_end(user_id)
                while len(self._excluded) > MAX_CACHED_EXCLUSIONS:
                    self._excluded.popitem(last=False)
        return excluded


def _sequences(contract: ServiceContract, known: FeatureRows) -> FeatureRows:
    """The sequence views that the contract names."""
    return {name: known[name] for name in contract.sequence_views if name in known}


def _profile(contract: ServiceContract, known: FeatureRows) -> dict[str, float | None]:
    """`view__feature` ▸ value of the ordinary features that the contract names."""
    values: dict[str, float | None] = {}
    for feature in contract.features:
        view, _, name = feature.partition(":")
        found = known.get(view, {}).get(name) or [None]
        values[f"{view}__{name}"] = found[0]
    return values
