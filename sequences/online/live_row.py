"""The live part of a user as its row in the online store: a list of encoded values an attribute.

Most events come in order and let no other go. They are laid behind what is stored, of which only the order is decoded; any
other row is made anew. Knows nothing about stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sequences.online import live_events
from sequences.online.codec import StoredValue, decode_values, encode_list
from sequences.online.row import OnlineRow
from sequences.views import LIVE_ATTRIBUTES, SORT_KEY_ATTRIBUTES, SequenceView

LIVE_FEATURES = tuple(attribute.name for attribute in LIVE_ATTRIBUTES)

StoredValues = Mapping[str, StoredValue]


def decode_live_events(row: OnlineRow) -> list[live_events.Event]:
    """The stored live part, column by column, as events, oldest first."""
    columns = {name: decode_values(row.values[name]) for name in LIVE_FEATURES}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def encode_live_row(events: Sequence[live_events.Event]) -> StoredValues:
    """The row of these events."""
    return {
        one.name: StoredValue(encode_list(one.kind, [event[one.name] for event in events])) for one in LIVE_ATTRIBUTES
    }


def append_events(
    row: OnlineRow, new: Sequence[live_events.Event], views: Sequence[SequenceView]
) -> StoredValues | None:
    """The row of `live.applied`, where that is what is stored and all new events behind it; else None."""
    ended_at, sequence_number, event_id = (
        decode_values(row.values[attribute.name]) for attribute in SORT_KEY_ATTRIBUTES
    )
    ordered = sorted(new, key=live_events.sort_key)
    if event_id and live_events.sort_key(ordered[0]) <= (ended_at[-1], sequence_number[-1], event_id[-1]):
        return None
    if len({*event_id, *(event["event_id"] for event in new)}) < len(event_id) + len(new):
        return None
    kinds = [(event["behaviour"], event["target_type"]) for event in ordered]
    if len(event_id) + len(new) > min(view.length for view in views):
        kinds[:0] = zip(decode_values(row.values["behaviour"]), decode_values(row.values["target_type"]), strict=True)
    if not all(live_events.mark_visible(kinds, views)):
        return None
    # The bytes of two messages, one after the other, are the bytes of a message with the lists of both.
    return {
        name: StoredValue((row.values[name] or b"") + value.encoded) for name, value in encode_live_row(ordered).items()
    }
