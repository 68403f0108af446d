"""Clients of an event store that report events and read them by another connection, and what must hold afterwards."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from event_store.sqlite_stores import SqliteEventStore
from event_store.store import EventStore, StoreUnavailable
from serving.events.event_schema import read_event


class EventPath:
    """The event store of a folder, opened twice, which can be restarted."""

    def __init__(self, folder: Path, now_us: Callable[[], int], users: int) -> None:
        self.folder, self.now_us, self.users = folder, now_us, users
        self.acknowledged: list[str] = []
        self.refused = 0
        self._numbers = itertools.count()
        self.start()

    def start(self) -> None:
        """Open the store."""
        self.store, self.reader = (SqliteEventStore(self.folder, self.now_us) for _ in range(2))

    def stop(self) -> None:
        """Close everything."""
        self.store.close()
        self.reader.close()

    def restart(self) -> None:
        """Close everything and start again."""
        self.stop()
        self.start()

    def report(self, count: int = 1) -> str | None:
        """Report clicks of one user; return the id of the last event, or None if the report was refused."""
        ids = [f"e{next(self._numbers)}" for _ in range(count)]
        row = {"user_id": self.user_of(ids[-1]), "target_type": "track", "target_id": "t1", "action": "click"}
        described = {"behavior": "click", "played_ratio": None}
        try:
            now_us = self.now_us()
            self.store.append([read_event(row | {"event_id": one}, now_us) | described for one in ids])
        except StoreUnavailable:
            self.refused += 1
            return None
        self.acknowledged += ids
        return ids[-1]

    def report_and_read(self) -> None:
        """Report a click, which the other connection must read."""
        if reported := self.report():
            assert reported in [one["event_id"] for one in self.reader.of_user(self.user_of(reported)).events], (
                f"{reported} is missing from the next read"
            )

    def user_of(self, event_id: str) -> str:
        """The user of an event."""
        return f"u{int(event_id[1:]) % self.users}"

    def check(self) -> None:
        """Restart, and check that every acknowledged event is in the store exactly once."""
        self.restart()
        check_ids("event store", stored_ids(self.store), self.acknowledged)


def check_ids(place: str, found: Sequence[str], expected: Collection[str]) -> None:
    """Check that each expected id was found exactly once, and no other."""
    counts = Counter(found)
    repeated = [one for one, count in counts.items() if count > 1]
    assert not repeated, f"{len(repeated)} events are twice in the {place}, for instance {repeated[:3]}"
    lost = sorted(set(expected) - set(counts))
    assert not lost, f"{len(lost)} of {len(expected)} acknowledged events are not in the {place}: {lost[:3]}"
    more = sorted(set(counts) - set(expected))
    assert not more, f"{len(more)} events of the {place} were never acknowledged: {more[:3]}"


def stored_ids(store: EventStore) -> list[str]:
    """Ids of the events in a store, in the order of commit."""
    return [event["event_id"] for _, event in store.read(None, 10_000_000)]
