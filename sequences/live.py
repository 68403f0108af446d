"""The live part of a user's sequences: the newest events by the contract's order, and its merge with the batch part.

Pure functions; know nothing about stores. A live event is a dict of `LIVE_ATTRIBUTES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sequences.behaviours import Behaviours, played_ratio
from sequences.definition import SequenceView

Event = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LiveEventError(ValueError):
    """A live event cannot be used; the message names the field and the remedy."""


def live_event(
    row: Mapping[str, Any], behaviours: Behaviours, duration_of: Callable[[str], int | None]
) -> Event | None:
    """A contract row as a live event; None for an impression, which is no behaviour by itself.

    Raises:
        BehaviourError, LiveEventError: the action or a time cannot be read.
    """
    is_track = row["target_type"] == "track"
    played_ms = row.get("played_ms")
    duration_ms = duration_of(row["target_id"]) if is_track and row["action"] == "play" else None
    behaviour = behaviours.behaviour_of(row["action"], played_ms, duration_ms)
    if behaviour is None:
        return None
    occurred_at = time_us(row["occurred_at"])
    ratio = played_ratio(played_ms, duration_ms)
    return {
        "event_id": str(row["event_id"]),
        "sequence_number": int(row.get("sequence_number") or 0),
        "target_type": row["target_type"],
        "target_id": str(row["target_id"]),
        "track_id": str(row["target_id"]) if is_track else "",
        "behaviour": behaviour,
        "occurred_at": occurred_at,
        "ended_at": occurred_at if row.get("ended_at") is None else time_us(row["ended_at"]),
        "played_ratio": float("nan") if ratio is None else ratio,
        "scene": row.get("scene") or "",
    }


def time_us(value: int | str | datetime) -> int:
    """µs since 1970 UTC of µs, ISO-8601 text or a datetime; without an offset a time is UTC.

    Raises:
        LiveEventError: the text is no ISO-8601 time.
    """
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise LiveEventError(f"{value!r} is not a time; send ISO-8601 UTC or µs since 1970") from error
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def applied(stored: Sequence[Event], new: Iterable[Event], views: Iterable[SequenceView]) -> list[Event]:
    """The live part after some more events: no event twice, in the contract's order, and no more than the views show."""
    by_id = {event["event_id"]: event for event in stored}
    for event in new:
        by_id.setdefault(event["event_id"], event)
    ordered = sorted(by_id.values(), key=order)
    shown: set[str] = set()
    for view in views:
        members = [e["event_id"] for e in ordered if view.has(e["behaviour"], e["target_type"])]
        shown.update(members[-view.length :])
    return [event for event in ordered if event["event_id"] in shown]


def order(event: Event) -> tuple[int, int, str]:
    """The contract's order of a user's events."""
    return event["ended_at"], event["sequence_number"], event["event_id"]


def merged(view: SequenceView, batch: dict[str, list[Any]], live: Sequence[Event]) -> dict[str, list[Any]]:
    """The view's newest L events of both parts, oldest first, as attribute ▸ list.

    The event table does not keep `sequence_number`, so at an equal `ended_at` an event of the batch part comes first.
    """
    known = set(batch["event_id"])
    fresh = [e for e in live if view.has(e["behaviour"], e["target_type"]) and e["event_id"] not in known]
    if not fresh:
        return batch
    ended = batch["ended_at"]
    places = [(at, 0, n) for n, at in enumerate(ended)] + [(e["ended_at"], 1, n) for n, e in enumerate(fresh)]
    if ended and fresh[0]["ended_at"] < ended[-1]:
        places.sort()
    places = places[-view.length :]
    return {
        name: [batch[name][n] if part == 0 else fresh[n][name] for _, part, n in places]
        for name in view.attribute_names
    }
