"""Encoding of lists into arrays, on hand-made cases."""

from __future__ import annotations

import numpy as np

from sequences.sequence_batch import encode
from sequences.views import SEQUENCE_VIEWS

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


def test_rows_are_oldest_first_and_padded_on_the_right() -> None:
    batch = encode(VIEW, [ROW, NOTHING], ENCODERS, length=4)
    assert [batch.columns[name][0].tolist() for name in NAMES] == [[2, 1, 3, 0], [4, 7, 2, 0], [4, 5, 6, 0]]
    assert not any(batch.columns[name][1].any() for name in NAMES)
    assert batch.length_B.tolist() == [3, 0]
    assert batch.mask_BL.tolist() == [[True, True, True, False], [False] * 4]


def test_unknown_ratio_is_zero_and_strings_without_encoder_are_left_out() -> None:
    batch = encode(VIEW, [ROW], ENCODERS, length=3)
    np.testing.assert_array_equal(batch.columns["played_ratio"], np.array([[0.5, 0.0, 1.0]], np.float32))
    assert {"scene", "event_id"}.isdisjoint(batch.columns)


def test_longer_lists_keep_the_newest_events() -> None:
    assert encode(VIEW, [ROW], ENCODERS, length=2).columns["ended_at"].tolist() == [[5, 6]]


def test_selected_events_move_to_the_left() -> None:
    batch = encode(VIEW, [ROW, NOTHING, ROW], ENCODERS, length=4)
    kept = batch.where(np.array([[True, False, True, True], [True] * 4, [False] * 4]))
    assert kept.columns["ended_at"].tolist() == [[4, 6, 0, 0], [0] * 4, [0] * 4]
    assert kept.columns["behavior"].tolist() == [[4, 2, 0, 0], [0] * 4, [0] * 4]
    assert kept.length_B.tolist() == [2, 0, 0]


def test_newest_equals_reading_a_shorter_length() -> None:
    rows = [ROW, NOTHING, {name: values[:1] for name, values in ROW.items()}]
    whole = encode(VIEW, rows, ENCODERS, length=4)
    for length in (1, 2, 3):
        some, read = whole.newest(length), encode(VIEW, rows, ENCODERS, length=length)
        assert some.length_B.tolist() == read.length_B.tolist()
        for name, column in read.columns.items():
            np.testing.assert_array_equal(some.columns[name], column)
    assert whole.newest(9) is whole
