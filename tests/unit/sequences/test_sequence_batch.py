"""Encoding of lists into arrays, on hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest

from sequences.sequence_batch import encode
from sequences.sequence_views import SEQUENCE_VIEWS

VIEW = SEQUENCE_VIEWS["recent_events"]
ROW = {
    "event_id": ["e1", "e2", "e3"],
    "track_id": ["t1", "new", "t2"],
    "behavior": ["skip", "like", "full_play"],
    "occurred_at": [1, 2, 3],
    "ended_at": [4, 5, 6],
    "played_ratio": [0.5, float("nan"), 1.0],
    "scene": ["", "daily", ""],
}
NAMES = ("track_id", "behavior", "ended_at")
NOTHING: dict[str, list[object]] = {name: [] for name in VIEW.attribute_names}
ENCODERS = {"track_id": {"t1": 2, "t2": 3}, "behavior": {"skip": 4, "like": 7, "full_play": 2}}


def test_selected_events_move_to_the_left() -> None:
    kept = encode(VIEW, [ROW, NOTHING, ROW], ENCODERS, length=4).where(
        np.array([[True, False, True, True], [True] * 4, [False] * 4])
    )
    assert {name: kept.columns[name].tolist() for name in ("ended_at", "behavior")} == {
        "ended_at": [[4, 6, 0, 0], [0] * 4, [0] * 4],
        "behavior": [[4, 2, 0, 0], [0] * 4, [0] * 4],
    }
    assert kept.length_B.tolist() == [2, 0, 0]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_newest_equals_reading_a_shorter_length(length: int) -> None:
    rows = [ROW, NOTHING, {name: values[:1] for name, values in ROW.items()}]
    whole = encode(VIEW, rows, ENCODERS, length=4)
    some, read = whole.newest(length), encode(VIEW, rows, ENCODERS, length=length)
    assert some.length_B.tolist() == read.length_B.tolist()
    for name, column in read.columns.items():
        np.testing.assert_array_equal(some.columns[name], column)
    assert whole.newest(9) is whole
