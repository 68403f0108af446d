"""Appending to a stored live row equals recomputing it, and is refused when it would not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequences.online import live_events
from sequences.online.live_events import (
    LIVE_FEATURES,
    LiveEventError,
    append_events,
    decode_live_events,
    encode_live_row,
)
from sequences.online.store_rows import OnlineRow
from sequences.views import SEQUENCE_VIEWS, SequenceView

SHORT = tuple(replace(view, length=3) for view in SEQUENCE_VIEWS.values())
MIXED = tuple(replace(view, length=length) for length, view in enumerate(SEQUENCE_VIEWS.values(), 1))
EMPTY = OnlineRow(None, dict.fromkeys(LIVE_FEATURES))


def event(name: str, ended_at: int, behaviour: str = "full_play", target_type: str = "track") -> live_events.Event:
    return {
        "event_id": name,
        "sequence_number": 0,
        "target_type": target_type,
        "target_id": f"t{name}",
        "track_id": f"t{name}" if target_type == "track" else "",
        "behaviour": behaviour,
        "occurred_at": ended_at - 1,
        "ended_at": ended_at,
        "played_ratio": 0.5,
        "scene": "é" * (ended_at % 3),
    }


def stored(values: Any) -> OnlineRow:
    return OnlineRow(None, {name: value.encoded for name, value in values.items()})


def visible_events(events: list[live_events.Event], views: tuple[SequenceView, ...]) -> list[live_events.Event]:
    """Events visible in some view, computed view by view."""
    ordered = sorted({one["event_id"]: one for one in reversed(events)}.values(), key=live_events.sort_key)
    members = [[one for one in ordered if view.matches(one["behaviour"], one["target_type"])] for view in views]
    kept = [one["event_id"] for of_view, view in zip(members, views, strict=True) for one in of_view[-view.length :]]
    return [one for one in ordered if one["event_id"] in kept]


events = st.builds(
    event,
    st.sampled_from("abcdefghijkl"),
    st.integers(0, 9),
    st.sampled_from(["full_play", "skip", "click", "like", "block"]),
    st.sampled_from(["track", "artist"]),
)


@pytest.mark.parametrize("value", [None, 1.5, [], {}, "soon"])
def test_a_value_that_is_no_time_is_an_invalid_event(value: object) -> None:
    with pytest.raises(LiveEventError, match="is not a time"):
        live_events.parse_time_us(value)


@given(st.lists(st.lists(events, min_size=1, max_size=4), max_size=8), st.sampled_from([SHORT, MIXED]))
def test_appending_equals_recomputing_the_row(
    batches: list[list[live_events.Event]], views: tuple[SequenceView, ...]
) -> None:
    row, expected = EMPTY, []
    for new in batches:
        expected = visible_events([*expected, *new], views)
        values = append_events(row, new, views)
        if values is None:
            values = encode_live_row(live_events.apply_events(decode_live_events(row), new, views))
        row = stored(values)
        assert decode_live_events(row) == expected


FULL = stored(encode_live_row([event("a", 1), event("b", 2), event("c", 3)]))


@pytest.mark.parametrize(
    ("new", "is_laid_behind"),
    [
        ([event("d", 4, "click")], True),
        ([event("e", 5, "click"), event("d", 4, "click")], True),
        ([event("d", 3, "click")], True),  # equal times are ordered by id
        ([event("d", 2, "click")], False),
        ([event("c", 3)], False),
        ([event("d", 4, "click"), event("d", 4, "click")], False),
        ([event("d", 4)], False),  # a fourth play displaces the first one
        ([event("d", 4, "full_play", "artist")], False),  # not visible in any view
    ],
)
def test_only_ordered_events_that_displace_none_are_appended(
    new: list[live_events.Event], is_laid_behind: bool
) -> None:
    assert (append_events(FULL, new, SHORT) is not None) == is_laid_behind
    assert append_events(EMPTY, new[:1], SHORT) is not None or new[0]["target_type"] == "artist"
