"""Hydration stage: the user's state at the time of the request, from Feast's online store, as arrays for the models.

Before the first `feast apply` the store cannot be opened: every call retries and fails until then. A store that does not respond is
not queried until a check in the background succeeds, so that no further request waits for a timeout. Independent of candidates.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Container, Hashable
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import numpy as np

from event_store.store import EventStore
from recommender.user.exclusions import (
    EXCLUSIONS_VIEW,
    FOREVER,
    NO_ITEMS,
    Exclusions,
    Marks,
    canonical_marks,
    marks_of_view,
    merge_marks,
)
from recommender.user.user_batch import UserBatch, user_batch_from_online
from sequences.feast_store import open_store
from sequences.feature_services import ServiceContract
from sequences.online.reader import OnlineReader, StoredUser, StoredViews
from serving.events.feature_log import FeatureLog
from serving.observability.degraded_parts import ONLINE_STORE, Degradation
from serving.observability.metrics import Metrics
from serving.pipeline.request import Request
from serving.pipeline.user_state import STATE_FROM_CACHE, STATE_FROM_STORE, STATE_UNAVAILABLE, StateCache, UserState
from serving.releases.served_release import ServedRelease

SERVICE = "recommender"
READ_TIMEOUT_S = 0.25
"""Time that a read waits for Redis before the request is answered from the cached user state."""
CHECKED_USER = "\0"
"""User id that no user has, because it is not printable: reading it fails if the store does not respond or lacks tables."""
NO_USER = StoredUser(dict)

logger = logging.getLogger(__name__)


class StoreUnavailable(RuntimeError):
    """The online store failed and is not queried until a background check succeeds."""


class OnlineFeatureReader(Protocol):
    """The part of the online store that hydration needs."""

    def read(self, user_id: str, known: Hashable = None) -> StoredUser:
        """All views of the user; empty for an unknown user. Incomplete if their version is `known`."""

    def read_events(self, user_id: str) -> StoredUser:
        """The views with recent events alone, for when the rows of users cannot be read."""


class OnlineStore:
    """Feast's online store; thread-safe.

    Args:
        degradation: Where failures are reported.
        events: Where later events of users are; default: the store of the settings.
    """

    def __init__(self, degradation: Degradation, events: EventStore | None = None) -> None:
        self._degradation, self._events = degradation, events
        self._unavailable, self._failed_user = "", CHECKED_USER

    @cached_property
    def _reader(self) -> OnlineReader:
        return OnlineReader(open_store(redis_timeout_s=READ_TIMEOUT_S), self._events)

    def open(self) -> None:
        """Open the connection, so that the first request does not have to."""
        try:
            _ = self._reader
        except Exception as error:
            logger.warning("the online store cannot be opened; run `feast apply` if it has not run yet: %s", error)

    def read(self, user_id: str, known: Hashable = None) -> StoredUser:
        """All views of the user, with the newest events. Incomplete if their version is `known`.

        Raises:
            StoreUnavailable: The store did not respond a moment ago.
        """
        if self._unavailable:
            raise StoreUnavailable(f"the online store does not respond: {self._unavailable}")
        try:
            return self._reader.read(user_id, known)
        except Exception as error:
            self._record_failure(error, user_id)
            raise

    def read_events(self, user_id: str) -> StoredUser:
        """The views of the user with recent events alone; also works while the store does not respond."""
        return self._reader.read_events(user_id)

    def check(self) -> None:
        """Read an unknown user, and the user whose read or write failed last; report the result."""
        try:
            reader = self._reader
            for user_id in dict.fromkeys((CHECKED_USER, self._failed_user)):
                reader.read(user_id)
        except Exception as error:
            self._record_failure(error, self._failed_user)
        else:
            self._failed_user, self._unavailable = CHECKED_USER, ""
            self._degradation.clear(ONLINE_STORE)

    def contract(self) -> ServiceContract:
        """The features that the registry lets models see. Read once per release, which picks up a changed registry."""
        registered = ServiceContract.of(open_store(), SERVICE)
        self._reader.refresh()
        return registered

    def _record_failure(self, error: Exception, user_id: str) -> None:
        self._failed_user = user_id
        # Errors of Redis are recognized without importing its client.
        if isinstance(error, (ConnectionError, TimeoutError)) or type(error).__module__.startswith("redis."):
            self._unavailable = str(error) or type(error).__name__
            why = "the online store does not respond; answers use cached states of users"
        elif isinstance(error, sqlite3.DatabaseError) and "locked" not in str(error):
            why = (
                "the online store is damaged or lacks tables; users whose rows cannot be read get answers from cached states; "
                "stop the service, delete the file and run python -m sequences.online.materialize --as-of DAY --force"
            )
        else:
            why = "the online store cannot be read; run `feast apply` if it has not run yet"
        self._degradation.report(ONLINE_STORE, why, error)


class Hydrator:
    """Reads and encodes user state.

    A state that was computed from the same rows a moment ago is used again. If the online store fails, uses the last state of
    the user, else treats the user as new, in both cases without what recent events exclude. Features of sampled requests are
    written to the feature log, if there is one.
    """

    def __init__(self, online: OnlineFeatureReader, metrics: Metrics, log: FeatureLog | None = None) -> None:
        self._online, self._metrics, self.log = online, metrics, log
        self._states = StateCache()

    def load_user_state(self, request: Request, release: ServedRelease) -> UserState:
        """The state of the request's user before the request, with item numbers of the release."""
        log = self.log
        if log is not None and (request.is_private or not (request.user_id and log.is_sampled(request))):
            log = None
        kept = self._states.get(release, request.user_id, request.at_us)
        stored = self._read(request.user_id, kept.version if kept is not None and log is None else None)
        if log is not None:
            views = (stored or NO_USER).views
            sequences, profile = _sequences(release.contract, views), _profile(release.contract, views)
            log.write(
                request,
                release.release_id,
                None if stored is None else stored.applied,
                None if stored is None else sequences,
                profile,
                None if stored is None else stored.rows,
            )
        if stored is None:
            return self._state_without_store(request, release)
        if kept is not None and kept.version == stored.version:
            return kept.state
        try:
            state = self._build_state(request, release, stored)
        except Exception:
            self._count_failure()
            return self._state_without_store(request, release)
        if state.is_known and stored.version is not None:
            self._states.put(release, stored.version, state)
        return state

    def _build_state(self, request: Request, release: ServedRelease, stored: StoredUser) -> UserState:
        users = user_batch_from_online(
            release.vocabulary,
            release.contract,
            [request.user_id],
            np.array([request.at_us], dtype=np.int64),
            sequences=[_sequences(release.contract, stored.views)],
            profiles=[_profile(release.contract, stored.views)],
        )
        marks = marks_of_view(stored.views.get(EXCLUSIONS_VIEW) or {})
        is_known = any(len(rows.get("ended_at", ())) for rows in stored.views.values())
        return _leave_out(users, marks, release, is_known, STATE_FROM_STORE)

    def _state_without_store(self, request: Request, release: ServedRelease) -> UserState:
        """The last state of the user as of now, or a state of an unknown user, with the exclusions of recent events."""
        known = self._states.latest(release, request.user_id)
        state = known or self._build_state(request, release, NO_USER)
        users = replace(state.users, request_at_B=np.array([request.at_us], dtype=np.int64))
        marks = merge_marks(self._states.marks(request.user_id), self._recent_marks(request.user_id))
        state_from = STATE_FROM_CACHE if known else STATE_UNAVAILABLE
        return _leave_out(users, marks, release, known is not None, state_from)

    def _recent_marks(self, user_id: str) -> Marks:
        """The exclusions among the events that the event store still has."""
        try:
            return marks_of_view(self._online.read_events(user_id).views.get(EXCLUSIONS_VIEW) or {})
        except Exception:
            self._count_failure()
            return {}

    def _read(self, user_id: str, known: Hashable) -> StoredUser | None:
        if not user_id:
            return NO_USER
        try:
            return self._online.read(user_id, known)
        except StoreUnavailable:
            self._metrics.skipped.labels("online_store", "failed").inc()
            return None
        except Exception:
            self._count_failure()
            return None

    def _count_failure(self) -> None:
        logger.exception("The online store failed; using the cached user state, or treating the user as new.")
        self._metrics.skipped.labels("online_store", "failed").inc()

    def read_views(self, user_id: str) -> StoredViews:
        """All views of the user as rows, for display.

        Raises:
            StoreUnavailable: The store did not respond a moment ago.
        """
        return self._online.read(user_id).views if user_id else {}

    def erase_users(self, users: Container[str]) -> None:
        """Cache and log nothing of these users from now on."""
        self._states.erase_users(users)
        if self.log is not None:
            self.log.erase_users(users)


def _leave_out(users: UserBatch, marks: Marks, release: ServedRelease, is_known: bool, state_from: str) -> UserState:
    """The state without the events that the user left out of the taste profile."""
    exclusions = Exclusions.of_marks(canonical_marks(marks, release.vocabulary.canonical_id))
    left_out = release.target_tracks.left_out(exclusions)
    users, event_items = users.leave_out([left_out])
    # A track that was played again after a reset is a known one.
    gone = np.setdiff1d(event_items, users.history_items.items) if len(event_items) else event_items
    hidden = np.union1d(left_out.item_N[left_out.until_N == FOREVER], gone) if len(left_out) else NO_ITEMS
    return UserState(users, exclusions, is_known, event_items, hidden, marks, state_from)


def _sequences(contract: ServiceContract, known: StoredViews) -> StoredViews:
    """The sequence views of the contract."""
    return {name: known[name] for name in contract.sequence_views if name in known}


def _profile(contract: ServiceContract, known: StoredViews) -> dict[str, float | None]:
    """`view__feature` → value of the contract's ordinary features."""
    values: dict[str, float | None] = {}
    for feature in contract.features:
        view, _, name = feature.partition(":")
        stored = known.get(view, {}).get(name) or [None]
        values[f"{view}__{name}"] = stored[0]
    return values
