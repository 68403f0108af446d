"""Live part of a user's sequences: events that the batch part lacks, their stored row, and the merge of both parts.

The live part is a list of events (dicts of `LIVE_ATTRIBUTES`), sorted by the contract's order. It is stored as one row with
one list per attribute. Most events arrive in order and displace no other; they are appended to the stored bytes, of which
only the sort key is decoded. Pure functions, independent of stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import compress
from typing import Any

from sequences.behaviours import Behaviours, played_ratio
from sequences.online.codec import LazyColumn, StoredValue, decode_values, encode_list
from sequences.online.store_rows import OnlineRow
from sequences.views import LIVE_ATTRIBUTES, SORT_KEY_ATTRIBUTES, SequenceView

Event = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LIVE_FEATURES = tuple(attribute.name for attribute in LIVE_ATTRIBUTES)

StoredValues = Mapping[str, StoredValue]


class LiveEventError(ValueError):
    """A live event is invalid; the message names the value and the remedy."""


def to_live_event(
    row: Mapping[str, Any], behaviours: Behaviours, duration_of: Callable[[str], int | None]
) -> Event | None:
    """A contract row as a live event; None for an impression, whose behavior is inferred later.

    Args:
        row: A row of the data contract.
        behaviours: Definitions of the behaviors.
        duration_of: track_id ▸ length in ms, None if unknown.

    Raises:
        BehaviourError, LiveEventError: The action or a time is invalid.
    """
    is_track = row["target_type"] == "track"
    played_ms = row.get("played_ms")
    duration_ms = duration_of(row["target_id"]) if is_track and row["action"] == "play" else None
    behaviour = behaviours.behaviour_of(row["action"], played_ms, duration_ms)
    if behaviour is None:
        return None
    occurred_at = parse_time_us(row["occurred_at"])
    ratio = played_ratio(played_ms, duration_ms)
    return {
        "event_id": str(row["event_id"]),
        "sequence_number": int(row.get("sequence_number") or 0),
        "target_type": row["target_type"],
        "target_id": str(row["target_id"]),
        "track_id": str(row["target_id"]) if is_track else "",
        "behaviour": behaviour,
        "occurred_at": occurred_at,
        "ended_at": occurred_at if row.get("ended_at") is None else parse_time_us(row["ended_at"]),
        "played_ratio": float("nan") if ratio is None else ratio,
        "scene": row.get("scene") or "",
    }


def parse_time_us(value: object) -> int:
    """Convert µs, ISO-8601 text or a datetime to µs since 1970 UTC; a time without an offset is UTC.

    Raises:
        LiveEventError: The value is not a time.
    """
    if isinstance(value, int):
        return value
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        raise LiveEventError(f"{value!r} is not a time; send ISO-8601 UTC or µs since 1970")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def apply_events(stored: Sequence[Event], new: Iterable[Event], views: Sequence[SequenceView]) -> list[Event]:
    """The live part after new events: deduplicated, sorted, and limited to events that are visible in some view."""
    by_id = {event["event_id"]: event for event in stored}
    for event in new:
        by_id.setdefault(event["event_id"], event)
    ordered = sorted(by_id.values(), key=sort_key)
    return list(
        compress(ordered, mark_visible([(event["behaviour"], event["target_type"]) for event in ordered], views))
    )


def mark_visible(kinds: Sequence[tuple[str, str]], views: Sequence[SequenceView]) -> list[bool]:
    """Whether each event is among the last L events of some view.

    Args:
        kinds: (behaviour, target type) of each of a user's events, oldest first.
        views: The views.
    """
    views_of = {kind: [place for place, view in enumerate(views) if view.matches(*kind)] for kind in set(kinds)}
    remaining = [view.length for view in views]
    visible = []
    for kind in reversed(kinds):
        visible.append(any(remaining[place] > 0 for place in views_of[kind]))
        for place in views_of[kind]:
            remaining[place] -= 1
    return visible[::-1]


def select_uncovered(
    live: Iterable[Event], batch: Mapping[str, Mapping[str, Sequence[Any]]], views: Iterable[SequenceView]
) -> list[Event]:
    """Live events that are not yet covered by the batch part of all their views.

    An event is covered if the batch part contains it, or contains L newer events of the view. An event that is not
    materialized is kept regardless of its age.

    Args:
        live: The live events, oldest first.
        batch: view ▸ attribute ▸ list.
        views: The views.
    """
    uncovered: set[str] = set()
    ordered = list(live)
    for view in views:
        members = [event for event in ordered if view.matches(event["behaviour"], event["target_type"])]
        if not members:
            continue  # avoids decoding the view's batch part, which may be long
        part = batch[view.name]
        ids = set(part["event_id"])
        oldest = _sort_key_at(part, 0) if len(ids) >= view.length else None
        for event in members:
            if event["event_id"] not in ids and (oldest is None or sort_key(event) > oldest):
                uncovered.add(event["event_id"])
    return [event for event in ordered if event["event_id"] in uncovered]


def sort_key(event: Event) -> tuple[int, int, str]:
    """The contract's sort key of a user's events."""
    return event["ended_at"], event["sequence_number"], event["event_id"]


def merge_parts(
    view: SequenceView, batch: Mapping[str, Sequence[Any]], live: Sequence[Event]
) -> Mapping[str, Sequence[Any]]:
    """The view's newest L events of both parts, oldest first, as attribute ▸ list.

    The parts are merged on the first access to a list.
    """
    members = [event for event in live if view.matches(event["behaviour"], event["target_type"])]
    if not members:
        return batch
    merge = _LazyMerge(view, batch, members)
    return {name: LazyColumn(partial(merge.values, name)) for name in view.attribute_names}


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
        return not size or not self._new_events or sort_key(self._new_events[0]) > _sort_key_at(self._batch, size - 1)

    @cached_property
    def _merge_order(self) -> list[tuple[int, int]]:
        batch_order = zip(*(self._batch[attribute.name] for attribute in SORT_KEY_ATTRIBUTES), strict=True)
        both = [(key, 0, place) for place, key in enumerate(batch_order)]
        both += [(sort_key(event), 1, place) for place, event in enumerate(self._new_events)]
        return [(part, place) for _, part, place in sorted(both)[-self._view.length :]]


def decode_live_events(row: OnlineRow) -> list[Event]:
    """The events of a stored live row, oldest first."""
    columns = {name: decode_values(row.values[name]) for name in LIVE_FEATURES}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def encode_live_row(events: Sequence[Event]) -> StoredValues:
    """The live row of these events."""
    return {
        attribute.name: StoredValue(encode_list(attribute.kind, [event[attribute.name] for event in events]))
        for attribute in LIVE_ATTRIBUTES
    }


def append_events(row: OnlineRow, new: Sequence[Event], views: Sequence[SequenceView]) -> StoredValues | None:
    """The row with new events appended, if that equals the row of `apply_events`; otherwise None.

    It does if all new events are distinct, later than the stored ones, and every stored and new event stays visible.
    """
    ended_at, sequence_number, event_id = (
        decode_values(row.values[attribute.name]) for attribute in SORT_KEY_ATTRIBUTES
    )
    ordered = sorted(new, key=sort_key)
    if event_id and sort_key(ordered[0]) <= (ended_at[-1], sequence_number[-1], event_id[-1]):
        return None
    if len({*event_id, *(event["event_id"] for event in new)}) < len(event_id) + len(new):
        return None
    kinds = [(event["behaviour"], event["target_type"]) for event in ordered]
    if len(event_id) + len(new) > min(view.length for view in views):
        kinds[:0] = zip(decode_values(row.values["behaviour"]), decode_values(row.values["target_type"]), strict=True)
    if not all(mark_visible(kinds, views)):
        return None
    # Concatenated protobuf messages decode as one message with concatenated lists.
    return {
        name: StoredValue((row.values[name] or b"") + value.encoded) for name, value in encode_live_row(ordered).items()
    }


def _sort_key_at(part: Mapping[str, Sequence[Any]], place: int) -> tuple[int, int, str]:
    return part["ended_at"][place], part["sequence_number"][place], part["event_id"][place]
