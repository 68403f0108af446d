"""Exclusions: the newest of an exclusion and its reversal counts, at any time."""

import pytest

from training.slate.exclusions import Exclusions, marks_of, merge_marks

EVENTS = [
    ("block", "artist", "a", 1),
    ("dislike", "track", "t", 2),
    ("block", "track", "t", 3),
    ("undislike", "track", "t", 4),
    ("unblock", "artist", "a", 5),
    ("unblock", "track", "never blocked", 6),
    ("block", "artist", "a", 7),
]


@pytest.mark.parametrize(
    ("until", "tracks", "artists"),
    [(1, set(), {"a"}), (2, {"t"}, {"a"}), (4, {"t"}, {"a"}), (6, {"t"}, set()), (7, {"t"}, {"a"})],
)
def test_exclusions_are_those_in_force_at_a_time(until, tracks, artists):
    marks = marks_of(event for event in EVENTS if event[-1] <= until)
    assert Exclusions.of_marks(marks) == Exclusions(frozenset(tracks), frozenset(artists))


def test_merged_marks_are_those_of_all_events_in_order():
    for split in range(len(EVENTS) + 1):
        first, second = marks_of(EVENTS[:split]), marks_of(EVENTS[split:])
        assert merge_marks(first, second) == merge_marks(second, first) == marks_of(EVENTS)


def test_the_view_of_a_user_is_read_in_order():
    rows = {
        name: [event[place] for event in EVENTS[:5]]
        for place, name in enumerate(("behaviour", "target_type", "target_id", "ended_at"))
    }
    assert Exclusions.of({"exclusions": rows}) == Exclusions(frozenset({"t"}))
    assert not Exclusions.of({})
