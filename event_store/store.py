"""What the stores of events and of the recommender's own data guarantee, wherever they keep them, and how an event is kept: its id
as a keyed hash, its kind, and its columns as a text.

`EventStore`: an event that `append` has returned is durable, is read by every process, and is in the store once. Events are
numbered in the order of commit (`seq`); a store has an id that is new after its creation, a restore and a failover, because a
position of another store says nothing about this one.

`ServingState`: responses that were shown, daily lists and live workers, which may lose the last second in a machine failure.
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from event_store.event_rules import MAX_AGE_US, Event
from event_store.private_sessions import PrivateSession
from storage.suppression_list import SuppressionList

DAY_US = 86_400_000_000
MAX_EVENTS_OF_KIND = 2000
"""Events of one behavior and target type that a user's read returns, the newest: no view shows more."""
ALIVE_FOR_US = 5_000_000
"""Time after its last sign of life for which a worker counts as alive."""
VISIBLE_FOR_US = DAY_US
"""Time for which an event stays in the store after it was received, at least."""


class StoreUnavailable(OSError):
    """The store cannot be read or written; the message has the reason and the remedy."""


class StoreBusy(StoreUnavailable):
    """Too many reports wait for the store; the client should retry."""


class ErasureUnfinished(RuntimeError):
    """Bytes of erased users are still in a file, because a process keeps reading it."""


@dataclass(frozen=True)
class Position:
    """All events of a store up to a number, in the order of commit."""

    store: str
    seq: int


@dataclass(frozen=True)
class Appended:
    """What became of the events of one report; each event is counted once."""

    accepted: int = 0  # durable, and new
    duplicate: int = 0  # their ids are known
    private: int = 0  # of private sessions, so that they are kept nowhere
    erased: int = 0  # of users who are erased


@dataclass(frozen=True)
class UserEvents:
    """A user's events after a position, in the contract's order, and the last number among them (0: there is none)."""

    store: str
    last_seq: int
    events: Sequence[Event] = ()


class Store(Protocol):
    """What both stores have in common; safe to use from all threads and processes."""

    @property
    def id(self) -> str:
        """Id of the store."""

    def renew_id(self) -> None:
        """Give the store a new id, because positions of before say nothing about its content, as after a restore."""

    def suppress(self, users: SuppressionList) -> None:
        """Add nothing more of these users; replaces the previous list."""

    def users(self) -> set[str]:
        """Everyone of whom something is stored."""

    def export(self, user_id: str) -> dict[str, list[dict[str, Any]]]:
        """Everything that is stored about the user: rows by kind, as JSON values."""

    def erase(self, user_ids: Collection[str]) -> Counter[str]:
        """Erase everything of these users; returns the number of rows per user. No byte of them is left.

        Raises:
            ErasureUnfinished: The bytes are not reachable any more, and still in a file.
        """

    def read(self, after: Position | None, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """The next rows, events or exposures, in the order of commit with their numbers, after a position of this store or from the
        start.

        Raises:
            StoreUnavailable: The store cannot be read.
        """

    def close(self) -> None:
        """Release connections."""


class EventStore(Store, Protocol):
    """Events of users."""

    def append(self, events: Sequence[Event]) -> Appended:
        """Add events, in order; they are durable when this returns, and each id is added once in 30 days.

        Raises:
            StoreUnavailable: The events may not be durable. If they are sent again, each is added once.
        """

    def of_user(self, user_id: str, after: Position | None = None) -> UserEvents:
        """The user's events with a behavior that some view can show: all of the store, or those after a position of it.

        Raises:
            StoreUnavailable: The store cannot be read.
        """

    def last_before(self, received_us: int) -> int:
        """The highest number up to which every event was received before a time, µs UTC; 0 without one."""

    def remove(self, through: Position) -> int:
        """Remove events up to a position that were received more than a day ago; return their number."""

    def private_session(self, user_id: str) -> PrivateSession | None:
        """The private session of the user that lasts now; None if there is none."""


@dataclass(frozen=True)
class Worker:
    """A live process that answers requests."""

    name: str  # host and process
    seen_us: int  # last sign of life, µs UTC
    state: Mapping[str, Any]  # releases that it has loaded, digest of its suppression list


class ServingState(Store, Protocol):
    """What the workers of a recommender share."""

    def add_exposure(self, user_id: str, record: Mapping[str, Any]) -> None:
        """Add the record of a response, unless the user is erased."""

    def remove_exposures(self, through: Position) -> None:
        """Remove the records up to a position, which are landed."""

    def replace_list(self, user_id: str, day: int, key: str, before: str | None, text: str, kept_days: int) -> bool:
        """Store a user's text of a day if the current one is `before`; False if another worker has replaced it meanwhile.

        A user who is erased has no texts. Of earlier days, the texts of the last `kept_days` are kept.
        """

    def read_lists(self, user_id: str, since_day: int) -> list[tuple[int, str, str]]:
        """Day, key and text of the user's lists since a day."""

    def report_worker(self, name: str, state: Mapping[str, Any]) -> None:
        """Note that a worker is alive, and its state."""

    def workers(self) -> list[Worker]:
        """The workers that were alive a moment ago."""

    def agree(self, name: str, value: str) -> str:
        """The value that the first caller gave for a name."""


KEY_BYTES = 32
CODE_BYTES = 16
ID_PERIOD_US = MAX_AGE_US + DAY_US
"""Ids are deleted after one to two of these periods."""


def id_code(key: bytes, event: Event) -> bytes:
    """What is kept of the id of every event, also of private ones, without their users and times."""
    return hmac.digest(key, event["event_id"].encode(), "sha256")[:CODE_BYTES]


def kind_of(event: Event) -> str:
    """Behavior and type of target; empty for an event without a behavior, which no view shows."""
    return f"{event['behavior']} {event['target_type']}" if event.get("behavior") else ""


def to_text(event: Event) -> str:
    """The columns that have a value, as JSON."""
    return json.dumps({name: value for name, value in event.items() if value is not None}, separators=(",", ":"))
