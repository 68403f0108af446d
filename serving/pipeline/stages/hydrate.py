"""Hydration stage: the user's state at the time of the request, from the online store, as arrays for the models.

Independent of candidates.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

import numpy as np

from sequences.skew.feature_log import LogPosition
from sequences.views import SEQUENCE_VIEWS
from serving.events.feature_log import FeatureLog
from serving.observability.metrics import Metrics
from serving.pipeline.request import Request
from serving.pipeline.stages.user_state_cache import (
    STATE_FROM_CACHE,
    STATE_FROM_STORE,
    STATE_UNAVAILABLE,
    UserStateCache,
)
from serving.releases.served_release import ServedRelease
from training.data.exclusions import (
    EXCLUSIONS_VIEW,
    Exclusions,
    Marks,
    canonical_marks,
    is_exclusion,
    marks_of,
    marks_of_view,
    merge_marks,
)
from training.data.feature_services import ServiceContract
from training.data.profile_exclusions import FOREVER, NO_ITEMS
from training.data.user_batch import UserBatch, user_batch_from_online

MAX_MARKS = SEQUENCE_VIEWS[EXCLUSIONS_VIEW].length
"""Cached marks of one user per exclusion, the newest ones; the online store has as many events of all exclusions together."""
MAX_CACHED_MARKS = 1_000_000
"""Cached marks of all users; beyond it, those of the least recently used users are dropped."""
NO_MARKS: Marks = {}

FeatureRows = Mapping[str, Mapping[str, Sequence[Any]]]
"""View → attribute → values, oldest first; an ordinary view has one value per attribute, or none."""

logger = logging.getLogger(__name__)


class StoreUnavailable(RuntimeError):
    """The online store failed and is not queried until a background check succeeds."""


class OnlineFeatureReader(Protocol):
    """The part of the online store that the pipeline needs."""

    def read(self, user_id: str) -> FeatureRows:
        """All views of the user; empty for an unknown user."""


@dataclass(frozen=True)
class LeftOutEvents:
    """What the user left out of the taste profile, which `UserState.users` does not contain."""

    event_items: np.ndarray = field(default_factory=lambda: NO_ITEMS)  # of the events left out, with repetitions
    items: np.ndarray = field(default_factory=lambda: NO_ITEMS)  # not to recommend to the user, ascending


@dataclass(frozen=True)
class UserState:
    """The user of one request."""

    users: UserBatch  # the request, B = 1
    exclusions: Exclusions  # blocked and disliked targets
    is_known: bool  # False if the store has no event of the user
    left_out: LeftOutEvents = field(default_factory=LeftOutEvents)
    state_from: str = STATE_FROM_STORE  # if the store failed: STATE_FROM_CACHE or STATE_UNAVAILABLE


class Hydrator:
    """Reads and encodes user state.

    If the online store fails, uses the cached user state, else treats the user as new. Exclusions are cached separately and
    longer. Features of sampled requests are written to the feature log, if there is one.
    """

    def __init__(self, online: OnlineFeatureReader, metrics: Metrics, log: FeatureLog | None = None) -> None:
        self._online, self._metrics, self.log = online, metrics, log
        self._state_cache = UserStateCache()
        self._excluded: OrderedDict[str, Marks] = OrderedDict()
        self._marks = 0  # number of marks in `_excluded`
        self._lock = Lock()

    def load_user_state(self, request: Request, release: ServedRelease) -> UserState:
        """The state of the request's user before the request, with item numbers of the release."""
        log = self.log
        if log is not None and (request.is_private or not (request.user_id and log.is_sampled(request))):
            log = None
        known = self._read(request.user_id)
        sequences, profile = _sequences(release.contract, known or {}), _profile(release.contract, known or {})
        if log is not None:
            log.write(request, release.release_id, _applied(known), None if known is None else sequences, profile)
        users = user_batch_from_online(
            release.vocabulary,
            release.contract,
            [request.user_id],
            np.array([request.at_us], dtype=np.int64),
            sequences=[sequences],
            profiles=[profile],
            scenes=[request.scene.name],
        )
        stored = marks_of_view((known or {}).get(EXCLUSIONS_VIEW) or {})
        marks = self._merge_exclusions(request.user_id, stored)
        exclusions = Exclusions.of_marks(canonical_marks(marks, release.vocabulary.canonical_id))
        if known is None:
            cached = self._state_cache.get(release.release_id, request.user_id, request.at_us, request.scene.name)
            if cached is None:
                return UserState(users, exclusions, False, state_from=STATE_UNAVAILABLE)
            return UserState(*_leave_out(cached, exclusions, release, is_known=True), STATE_FROM_CACHE)
        is_known = any(len(rows.get("ended_at", ())) for rows in known.values())
        if is_known:
            self._state_cache.put(release.release_id, users)
        return UserState(*_leave_out(users, exclusions, release, is_known))

    def _read(self, user_id: str) -> FeatureRows | None:
        if not user_id:
            return {}
        try:
            return self._online.read(user_id)
        except StoreUnavailable:
            self._metrics.skipped.labels("online_store").inc()
            return None
        except Exception:
            logger.exception("The online store failed; using the cached user state, or treating the user as new.")
            self._metrics.skipped.labels("online_store").inc()
            return None

    def read_views(self, user_id: str) -> FeatureRows:
        """All views of the user as rows, for display.

        Raises:
            StoreUnavailable: The store did not respond a moment ago.
        """
        return self._online.read(user_id) if user_id else {}

    def record_exclusions(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Cache the exclusions of reported events, which take effect before the online store has the events."""
        events_of: dict[str, list[tuple[str, str, str, int]]] = {}
        for event in sorted(events, key=lambda event: int(event["ended_at"])):
            if is_exclusion(event["action"]):
                row = event["action"], event["target_type"], event["target_id"], int(event["ended_at"])
                events_of.setdefault(event["user_id"], []).append(row)
        for user_id, rows in events_of.items():
            self._merge_exclusions(user_id, marks_of(rows))

    def erase_users(self, users: Container[str]) -> None:
        """Remove cached state of these users."""
        self._state_cache.erase_users(users)
        with self._lock:
            for user_id in [one for one in self._excluded if one in users]:
                self._marks -= len(self._excluded.pop(user_id))

    def _merge_exclusions(self, user_id: str, more: Marks) -> Marks:
        """The user's cached exclusions together with `more`; requests of others do not wait for the merge."""
        while True:
            known = self._excluded.get(user_id, NO_MARKS)
            excluded = _newest_marks(merge_marks(known, more))
            with self._lock:
                if self._excluded.get(user_id, NO_MARKS) is not known:
                    continue  # another thread has merged meanwhile
                if excluded:
                    self._excluded[user_id] = excluded
                    self._excluded.move_to_end(user_id)
                    self._marks += len(excluded) - len(known)
                while self._marks > MAX_CACHED_MARKS:
                    self._marks -= len(self._excluded.popitem(last=False)[1])
                return excluded


def _newest_marks(marks: Marks) -> Marks:
    """At most `MAX_MARKS` marks of each exclusion; of equally old ones those that were added last."""
    if len(marks) <= MAX_MARKS:
        return marks
    left = Counter(name for name, _, _ in marks)
    newest: Marks = {}
    for key, mark in sorted(marks.items(), key=lambda item: item[1][0]):
        if left[key[0]] <= MAX_MARKS:
            newest[key] = mark
        else:
            left[key[0]] -= 1
    return newest


def _leave_out(
    users: UserBatch, exclusions: Exclusions, release: ServedRelease, is_known: bool
) -> tuple[UserBatch, Exclusions, bool, LeftOutEvents]:
    """The state without the events that the user left out of the taste profile."""
    left_out = release.target_tracks.left_out(exclusions)
    if not len(left_out):
        return users, exclusions, is_known, LeftOutEvents()
    users, event_items = users.leave_out([left_out])
    # A track that was played again after a reset is a known one.
    gone = np.setdiff1d(event_items, users.history_items.items)
    hidden = np.union1d(left_out.item_N[left_out.until_N == FOREVER], gone)
    return users, exclusions, is_known, LeftOutEvents(event_items, hidden)


def _applied(known: FeatureRows | None) -> LogPosition | None:
    """The last event of the user that the features contain."""
    position = getattr(known, "applied", None)
    return None if position is None else (position.store, position.seq)


def _sequences(contract: ServiceContract, known: FeatureRows) -> FeatureRows:
    """The sequence views of the contract."""
    return {name: known[name] for name in contract.sequence_views if name in known}


def _profile(contract: ServiceContract, known: FeatureRows) -> dict[str, float | None]:
    """`view__feature` → value of the contract's ordinary features."""
    values: dict[str, float | None] = {}
    for feature in contract.features:
        view, _, name = feature.partition(":")
        stored = known.get(view, {}).get(name) or [None]
        values[f"{view}__{name}"] = stored[0]
    return values
