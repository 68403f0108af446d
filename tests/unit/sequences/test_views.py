"""The declared views and their round trip through the registry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sequences.views import SCENE, SEQUENCE_VIEWS, TRACK_ID, SequenceViewError


def test_view_requires_the_sort_key() -> None:
    with pytest.raises(SequenceViewError, match="event_id"):
        replace(SEQUENCE_VIEWS["recent_events"], attributes=(TRACK_ID, SCENE))
    with pytest.raises(SequenceViewError, match="length 0"):
        replace(SEQUENCE_VIEWS["recent_events"], length=0)


def test_inferred_behaviors_require_a_daily_view() -> None:
    view = SEQUENCE_VIEWS["impressions_left"]
    with pytest.raises(SequenceViewError, match="daily"):
        replace(view, is_daily=False)
    with pytest.raises(SequenceViewError, match="daily"):
        replace(view, behaviors=(*view.behaviors, "skip"))
