"""User profile: events, sessions, short- and long-term summaries."""

from serving.inspection.user_profile import describe_user
from tests.support.serving.small_release import history, release, tracks, view

MINUTE = 60_000_000


def profile_of(bench, views):
    bench.store.users["u"], served = views, release(tracks(8), [])
    return describe_user(bench.load(served), served, bench.recall)


def test_events_are_ordered_and_the_latest_session_is_summarized_without_negative_events(bench):
    happened = [("t0", "full_play", 0), ("t2", "skip", 1), ("t4", "full_play", 500), ("t6", "skip", 501)]
    events = [
        {"track_id": track, "behavior": did, "occurred_at": at * MINUTE, "ended_at": (at + 1) * MINUTE}
        for track, did, at in happened
    ]
    profile = profile_of(bench, view("recent_events", *events, played_ratio=0.5))
    assert [(one.track_id, one.title, one.behavior, one.session) for one in profile.events] == [
        ("t0", "Song 0", "full_play", 1),
        ("t2", "Song 2", "skip", 1),
        ("t4", "Song 4", "full_play", 2),
        ("t6", "Song 6", "skip", 2),
    ]
    assert {one.played_ratio for one in profile.events} == {0.5}
    assert profile.is_known and profile.release == "r1" and profile.interests == []
    assert (profile.short_term.titles, profile.short_term.artists) == (["Song 4"], ["Artist 2"])


def test_long_term_summarizes_all_listens(bench):
    profile = profile_of(bench, history("t0", "t2", "t2", "t6"))
    assert profile.long_term.titles == ["Song 2", "Song 0", "Song 6"]
    assert profile.long_term.name == "Artist 1 · Artist 0 · Artist 3"
