"""Live events of a user, which the batch part of the sequences may lack, and the merge of both parts.

Pure functions, independent of stores.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from event_store.store import UserEvents
from sequences.sequence_views import SORT_KEY_ATTRIBUTES, SequenceView

Event = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FLOAT = struct.Struct("f")
"""Precision of ratios in the event table."""


class LazyLists(Mapping[str, list[Any]]):
    """Attribute ▸ list, each made on first access; concurrent first accesses make the same list twice.

    Args:
        names: The attributes.
        make: Makes the list of an attribute.
    """

    def __init__(self, names: Sequence[str], make: Callable[[str], list[Any]]) -> None:
        self._make, self._lists = make, dict[str, list[Any] | None](dict.fromkeys(names))

    def __getitem__(self, name: str) -> list[Any]:
        found = self._lists[name]
        if found is None:
            found = self._lists[name] = self._make(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)


def live_events(found: UserEvents) -> list[Event]:
    """The user's events with the attributes of all views, as in the event table, in the contract's order."""
    return sorted(map(_to_live_event, found.events), key=sort_key)


def _to_live_event(row: Mapping[str, Any]) -> Event:
    is_track, ratio = row["target_type"] == "track", row.get("played_ratio")
    return {
        "event_id": row["event_id"],
        "sequence_number": row["sequence_number"],
        "target_type": row["target_type"],
        "target_id": row["target_id"],
        "track_id": row["target_id"] if is_track else "",
        "behavior": row["behavior"],
        "occurred_at": row["occurred_at"],
        "ended_at": row["ended_at"],
        "played_ratio": math.nan if ratio is None else FLOAT.unpack(FLOAT.pack(ratio))[0],
        "scene": row.get("scene") or "",
    }


def parse_time_us(text: str) -> int:
    """Convert ISO-8601 text to µs since 1970 UTC; a time without an offset is UTC.

    Raises:
        ValueError: The text is not a time.
    """
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def sort_key(event: Event) -> tuple[int, int, str]:
    """The contract's sort key of a user's events."""
    return event["ended_at"], event["sequence_number"], event["event_id"]


def merge_parts(
    view: SequenceView, batch: Mapping[str, Sequence[Any]], live: Sequence[Event]
) -> Mapping[str, Sequence[Any]]:
    """The view's newest L events of both parts, oldest first, as attribute ▸ list.

    The parts are merged on the first access to a list.
    """
    members = [event for event in live if view.matches(event["behavior"], event["target_type"])]
    if not members:
        return batch
    return LazyLists(view.attribute_names, _LazyMerge(view, batch, members).values)


class _LazyMerge:
    """Lazy merge of a view's batch part and its live events; concurrent first accesses compute the same result twice."""

    def __init__(self, view: SequenceView, batch: Mapping[str, Sequence[Any]], live: Sequence[Event]) -> None:
        self._view, self._batch, self._live = view, batch, live

    def values(self, name: str) -> list[Any]:
        """Values of one attribute of the newest L events."""
        batch, new = self._batch[name], [event[name] for event in self._new_events]
        if self._is_append:
            return [*batch[:], *new][-self._view.length :]
        both = (batch, new)
        return [both[part][place] for part, place in self._merge_order]

    @cached_property
    def _new_events(self) -> list[Event]:
        batch_ids = set(self._batch["event_id"])
        return [event for event in self._live if event["event_id"] not in batch_ids]

    @cached_property
    def _is_append(self) -> bool:
        """Whether all live events follow the batch part, which is the case without late events."""
        size = len(self._batch["event_id"])
        newest = (self._batch[name][size - 1] for name in SORT_KEY_ATTRIBUTES)
        return not size or not self._new_events or sort_key(self._new_events[0]) > tuple(newest)

    @cached_property
    def _merge_order(self) -> list[tuple[int, int]]:
        batch_order = zip(*(self._batch[name] for name in SORT_KEY_ATTRIBUTES), strict=True)
        both = [(key, 0, place) for place, key in enumerate(batch_order)]
        both += [(sort_key(event), 1, place) for place, event in enumerate(self._new_events)]
        return [(part, place) for _, part, place in sorted(both)[-self._view.length :]]
