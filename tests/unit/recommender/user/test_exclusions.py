"""Exclusions: the newest of an exclusion and its reversal counts, at any time."""

import pytest

from recommender.user.exclusions import Exclusions, canonical_marks, marks_of, merge_marks, names_of_view

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
    assert Exclusions.of_marks(marks_of(event for event in EVENTS if event[-1] <= until)) == Exclusions(
        frozenset(tracks), frozenset(artists)
    )


def test_merged_marks_are_those_of_all_events_in_order():
    for split in range(len(EVENTS) + 1):
        first, second = marks_of(EVENTS[:split]), marks_of(EVENTS[split:])
        assert merge_marks(first, second) == merge_marks(second, first) == marks_of(EVENTS)


def test_the_newest_mark_of_all_ids_of_a_track_counts():
    marks = marks_of([("block", "track", "alias", 1), ("block", "track", "t", 2), ("unblock", "track", "t", 3)])
    assert canonical_marks(marks, lambda _: "t") == {("block", "track", "t"): (3, False)}
    artist = marks_of([("block", "artist", "alias", 1)])
    assert canonical_marks(artist, lambda _: "t") == artist


def test_what_is_left_out_of_the_profile():
    events = [
        ("exclude", "album", "a", 1),
        ("exclude", "playlist", "p", 2),
        ("unexclude", "playlist", "p", 3),
        ("reset", "interest", "jazz", 4),
        ("reset", "interest", "pop", 5),
        ("unreset", "interest", "pop", 6),
        ("reset", "interest", "rock", 7),
        ("exclude", "interest", "rock", 8),
        ("rename", "interest", "jazz=Late", 9),
    ]
    found = Exclusions.of_marks(marks_of(events))
    assert found == Exclusions(profile={("album", "a"): None, ("interest", "jazz"): 4, ("interest", "rock"): None})
    assert found and not found.collections


def test_the_newest_name_of_an_interest_counts():
    rows = {
        "behavior": ["rename"] * 4,
        "target_type": ["interest"] * 4,
        "target_id": ["jazz=Late", "pop=Loud", "jazz=Later = better", "pop="],
        "ended_at": [1, 2, 3, 4],
    }
    assert names_of_view(rows) == {"jazz": "Later = better"}
