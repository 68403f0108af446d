"""User profile: events, sessions, short- and long-term summaries."""

from prometheus_client import CollectorRegistry

from serving.inspection.user_profile import describe_user
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.recall import Recall
from tests.support.serving.small_release import MemoryStore, history, release, tracks

MINUTE = 60_000_000
NOW = 10_000 * MINUTE


def recent(*events: tuple[str, str, int]) -> dict:
    """Events as (track, behavior, start minute), one minute each."""
    count = len(events)
    return {
        "recent_events": {
            "event_id": [f"r{n}" for n in range(count)],
            "track_id": [track for track, _, _ in events],
            "behavior": [behavior for _, behavior, _ in events],
            "occurred_at": [minute * MINUTE for _, _, minute in events],
            "ended_at": [(minute + 1) * MINUTE for _, _, minute in events],
            "played_ratio": [1.0 if behavior == "full_play" else 0.1 for _, behavior, _ in events],
            "scene": ["daily"] * count,
        }
    }


def seen(**views):
    store = MemoryStore()
    store.users["u"] = views
    hydrate = Hydrator(store, Metrics(CollectorRegistry()))
    served = release(tracks(8), [])
    recall = Recall(Metrics(CollectorRegistry()), 60.0)
    return describe_user(hydrate.load_user_state(read_request("u", "daily", 3, NOW), served), served, recall)


def test_events_are_ordered_with_sessions():
    profile = seen(**recent(("t0", "full_play", 0), ("t2", "skip", 1), ("t4", "full_play", 500)))
    assert [(one.track_id, one.title, one.behavior, one.session) for one in profile.events] == [
        ("t0", "Song 0", "full_play", 1),
        ("t2", "Song 2", "skip", 1),
        ("t4", "Song 4", "full_play", 2),
    ]
    assert [one.played_ratio for one in profile.events] == [1.0, 0.1, 1.0]
    assert profile.is_known and profile.release == "r1" and profile.interests == []


def test_short_term_is_the_latest_session_without_negative_events():
    profile = seen(**recent(("t0", "full_play", 0), ("t4", "full_play", 500), ("t6", "skip", 501)))
    assert profile.short_term.titles == ["Song 4"] and profile.short_term.artists == ["Artist 2"]


def test_long_term_summarizes_all_listens():
    profile = seen(**history("t0", "t2", "t2", "t6"))
    assert profile.long_term.titles == ["Song 2", "Song 0", "Song 6"]
    assert profile.long_term.name == "Artist 1 · Artist 0 · Artist 3"
