"""The live part of a user as its row in the online store: a list of encoded values an attribute.

Most events come in order and let no other go. They are laid behind what is stored, of which only the order is decoded; any
other row is made anew. Knows nothing about stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sequences import live
from sequences.definition import LIVE_ATTRIBUTES, ORDER, SequenceView
from sequences.online_row import OnlineRow
from sequences.wire import StoredValue, decoded, list_bytes

LIVE_FEATURES = tuple(attribute.name for attribute in LIVE_ATTRIBUTES)

Values = Mapping[str, StoredValue]


def live_events(row: OnlineRow) -> list[live.Event]:
    """The stored live part, column by column, as events, oldest first."""
    columns = {name: decoded(row.values[name]) for name in LIVE_FEATURES}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def row_of(events: Sequence[live.Event]) -> Values:
    """The row of these events."""
    return {
        one.name: StoredValue(list_bytes(one.kind, [event[one.name] for event in events])) for one in LIVE_ATTRIBUTES
    }


def appended(row: OnlineRow, new: Sequence[live.Event], views: Sequence[SequenceView]) -> Values | None:
    """The row of `live.applied`, where that is what is stored and all new events behind it; else None."""
    ended_at, sequence_number, event_id = (decoded(row.values[attribute.name]) for attribute in ORDER)
    ordered = sorted(new, key=live.order)
    if event_id and live.order(ordered[0]) <= (ended_at[-1], sequence_number[-1], event_id[-1]):
        return None
    if len({*event_id, *(event["event_id"] for event in new)}) < len(event_id) + len(new):
        return None
    kinds = [(event["behaviour"], event["target_type"]) for event in ordered]
    if len(event_id) + len(new) > min(view.length for view in views):
        kinds[:0] = zip(decoded(row.values["behaviour"]), decoded(row.values["target_type"]), strict=True)
    if not all(live.shown(kinds, views)):
        return None
    # The bytes of two messages, one after the other, are the bytes of a message with the lists of both.
    return {name: StoredValue((row.values[name] or b"") + value.encoded) for name, value in row_of(ordered).items()}
