"""The declared views and their round trip through the registry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sequences.views import DAY_US, SCENE, SEQUENCE_VIEWS, TRACK_ID, SequenceView, SequenceViewError


@pytest.mark.parametrize("name", SEQUENCE_VIEWS)
def test_view_json_round_trips(name: str) -> None:
    view = SEQUENCE_VIEWS[name]
    assert view.name == name
    assert SequenceView.from_json(view.to_json()) == view


def test_view_requires_the_sort_key() -> None:
    with pytest.raises(SequenceViewError, match="event_id"):
        replace(SEQUENCE_VIEWS["recent_events"], attributes=(TRACK_ID, SCENE))
    with pytest.raises(SequenceViewError, match="length 0"):
        replace(SEQUENCE_VIEWS["recent_events"], length=0)


def test_inferred_behaviours_require_a_daily_view() -> None:
    view = SEQUENCE_VIEWS["impressions_left"]
    with pytest.raises(SequenceViewError, match="daily"):
        replace(view, is_daily=False)
    with pytest.raises(SequenceViewError, match="daily"):
        replace(view, behaviours=(*view.behaviours, "skip"))


def test_daily_view_cuts_off_at_midnight() -> None:
    view, other = SEQUENCE_VIEWS["impressions_left"], SEQUENCE_VIEWS["recent_events"]
    assert [view.cutoff_us(time) for time in (DAY_US - 1, DAY_US, DAY_US + 1)] == [0, DAY_US, DAY_US]
    assert other.cutoff_us(DAY_US + 1) == DAY_US + 1


def test_view_membership() -> None:
    assert SEQUENCE_VIEWS["exclusions"].matches("block", "artist")
    assert not SEQUENCE_VIEWS["recent_events"].matches("click", "playlist")
    assert not SEQUENCE_VIEWS["recent_events"].matches("impression_without_click", "track")
