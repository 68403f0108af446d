"""Cached exclusions: how many are kept, and that users do not wait for each other."""

import pytest

from sequences.views import SEQUENCE_VIEWS
from serving.pipeline.request import read_request
from serving.pipeline.stages import hydrate
from tests.support.serving.pipeline_harness import NOW
from tests.support.serving.small_release import ListChannel, release, tracks

LENGTH = SEQUENCE_VIEWS["exclusions"].length
OF = release(tracks(8), [ListChannel("popularity", range(2, 10))])


@pytest.fixture
def bench(bench):
    bench.store.is_away = True
    return bench


def event(action, target_id, at_us, user_id="u", target_type="track"):
    names = ("user_id", "action", "target_type", "target_id", "ended_at")
    return dict(zip(names, (user_id, action, target_type, target_id, at_us), strict=True))


def exclusions(bench, user_id="u"):
    return bench.hydrate.load_user_state(read_request(user_id, "daily", None, NOW), OF).exclusions


def test_the_newest_exclusions_of_each_kind_are_kept(bench):
    bench.hydrate.record_exclusions(
        [event("block", "a0", 0, target_type="artist"), event("dislike", "late", LENGTH * 2)]
    )
    for first in range(0, LENGTH * 2, LENGTH):
        bench.hydrate.record_exclusions([event("dislike", f"x{at}", at) for at in range(first, first + LENGTH)])
    found = exclusions(bench)
    assert found.artist_ids == {"a0"}
    assert found.track_ids == {"late", *(f"x{at}" for at in range(LENGTH + 1, LENGTH * 2))}


def test_of_equally_old_exclusions_those_reported_last_are_kept(bench):
    for report in range(3):
        bench.hydrate.record_exclusions([event("dislike", f"r{report}-{n}", NOW) for n in range(LENGTH * 2 // 3)])
    found = exclusions(bench).track_ids
    assert len(found) == LENGTH and {f"r2-{n}" for n in range(LENGTH * 2 // 3)} <= found


def test_users_who_were_asked_for_least_recently_are_dropped(bench, monkeypatch):
    monkeypatch.setattr(hydrate, "MAX_CACHED_MARKS", 5)
    for user_id in "abc":
        bench.hydrate.record_exclusions([event("block", f"{user_id}{n}", n, user_id) for n in range(2)])
    assert [len(exclusions(bench, user_id).track_ids) for user_id in "abc"] == [0, 2, 2]
    bench.hydrate.erase_users({"b"})
    bench.hydrate.record_exclusions([event("block", f"d{n}", n, "d") for n in range(3)])
    assert [len(exclusions(bench, user_id).track_ids) for user_id in "bcd"] == [0, 2, 3]
