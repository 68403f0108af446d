"""Reads of the service from Feast's online store, by one connection that is opened at the start.

Before the first `feast apply` the store cannot be opened: every call retries and fails until then. A store that does not respond is
not queried until a check in the background succeeds, so that no further request waits for a timeout. Independent of tensors or HTTP.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Hashable
from functools import cached_property

from event_store.store import EventStore
from sequences.feast_store import open_store
from sequences.feature_services import ServiceContract
from sequences.online.reader import OnlineReader, StoredUser
from serving.observability.degraded_parts import ONLINE_STORE, Degradation
from serving.pipeline.stages.hydrate import StoreUnavailable

SERVICE = "recommender"
READ_TIMEOUT_S = 0.25
"""Time that a read waits for Redis before the request is answered from the cached user state."""
CHECKED_USER = "\0"
"""User id that no user has, because it is not printable: reading it fails if the store does not respond or lacks tables."""

logger = logging.getLogger(__name__)


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
        if _is_connection_error(error):
            self._unavailable = str(error) or type(error).__name__
            why = "the online store does not respond; answers use cached states of users"
        elif _is_damage(error):
            why = (
                "the online store is damaged or lacks tables; users whose rows cannot be read get answers from cached states; "
                "stop the service, delete the file and run python -m sequences.online.materialize --as-of DAY --force"
            )
        else:
            why = "the online store cannot be read; run `feast apply` if it has not run yet"
        self._degradation.report(ONLINE_STORE, why, error)


def _is_connection_error(error: Exception) -> bool:
    """Whether the server of the store does not respond. Errors of Redis are recognized without importing its client."""
    return isinstance(error, (ConnectionError, TimeoutError)) or type(error).__module__.startswith("redis.")


def _is_damage(error: Exception) -> bool:
    """Whether a SQLite file is damaged or lacks tables; not if another process locks it."""
    return isinstance(error, sqlite3.DatabaseError) and "locked" not in str(error)
