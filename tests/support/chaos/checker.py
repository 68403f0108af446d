"""Checks after faults: every acknowledged event is stored exactly once, in the event log and in the online store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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

    def check(self, home: Path, stored: Mapping[str, Sequence[str]]) -> None:
        """Compare with the event log of a home, and with user ▸ ids of the events in the online store."""
        assert not self.violations, self.violations[:5]
        assert not self.unacknowledged
        check_ids("event log", logged_ids(home), self.acknowledged)
        found = [one for ids in stored.values() for one in ids if one in self.tried]
        check_ids("online store", found, self.acknowledged)


def check_ids(place: str, found: Sequence[str], expected: Collection[str]) -> None:
    """Check that each expected id was found exactly once, and no other."""
    counts = Counter(found)
    repeated = [one for one, count in counts.items() if count > 1]
    assert not repeated, f"{len(repeated)} events are twice in the {place}, for instance {repeated[:3]}"
    lost = sorted(set(expected) - set(counts))
    assert not lost, f"{len(lost)} of {len(expected)} acknowledged events are not in the {place}: {lost[:3]}"
    more = sorted(set(counts) - set(expected))
    assert not more, f"{len(more)} events of the {place} were never acknowledged: {more[:3]}"


def logged_ids(home: Path) -> list[str]:
    """Ids of the events in the log, in the order of the files; a line that is no event is skipped."""
    ids = []
    for file in sorted((home / "live").glob("dt=*/events-*.jsonl")):
        for line in file.read_bytes().splitlines():
            try:
                ids.append(json.loads(line)["event_id"])
            except (ValueError, KeyError, TypeError):
                continue
    return ids
