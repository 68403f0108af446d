"""Checks after faults: every acknowledged event is stored exactly once, and read by requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from event_store.store import EventStore


@dataclass
class Ledger:
    """Responses that clients received, over all processes that were killed."""

    tried: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    accepted: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def record(self, messages: Sequence[Any]) -> None:
        """Add the messages of a recommender."""
        for kind, value in messages:
            if kind == "tried":
                self.tried.add(value)
            elif kind in ("event", "duplicate"):
                self.acknowledged.add(value)
                self.accepted[value] += kind == "event"
            elif kind == "answer":
                self.answers[value] += 1
            elif kind == "violation":
                self.violations.append(value)

    @property
    def unacknowledged(self) -> list[str]:
        """Ids that clients report again."""
        return sorted(self.tried - self.acknowledged)

    def check(self, store: EventStore, read: Mapping[str, Sequence[str]]) -> None:
        """Compare with an event store, and with user ▸ ids of the events that requests read."""
        assert not self.violations, self.violations[:5]
        assert not self.unacknowledged
        check_ids("event store", stored_ids(store), self.acknowledged)
        found = [one for ids in read.values() for one in ids if one in self.tried]
        check_ids("reads of requests", found, self.acknowledged)


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
